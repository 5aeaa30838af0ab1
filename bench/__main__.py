"""`python -m bench`: which bench, how long, and what to do with the figures."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import calls, parse, register
from bench.measure import Wishes, say
from bench.node import NodeFault
from bench.report import BUDGETS, Judged, Report, judge, machine, read_budgets, to_object, to_text

LOADED = {"register": register.run, "calls": calls.run}
NAMES = ("parse", *LOADED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benches; return 1 when a budget is not met or a run was faulty, 2 without SIPp."""
    arguments = _parser().parse_args(argv)
    names = NAMES if arguments.bench == "all" else (arguments.bench,)
    wishes = Wishes(
        arguments.seconds, arguments.rate, not arguments.no_search and not arguments.profile,
        arguments.profile,
    )  # fmt: skip
    if shutil.which("sipp") is None and any(name in LOADED for name in names):
        print("bench: SIPp is needed: apt-get install sip-tester", file=sys.stderr)
        return 2
    budgets = read_budgets(BUDGETS.read_text("utf-8"))
    cores = _cores()
    os.sched_setaffinity(0, {cores[0]})
    reports: list[tuple[Report, list[Judged]]] = []
    for name in names:
        report = _run(name, cores, wishes)
        measured = wishes.is_searching or name not in LOADED
        judged = judge(budgets, report)
        reports.append((report, [one for one in judged if measured or one.value is not None]))
    if arguments.json:
        found = {one.bench: to_object(one, judged) for one, judged in reports}
        print(json.dumps({"machine": machine(), "benches": found}, indent=2))
    else:
        print(", ".join(f"{key} {value}" for key, value in machine().items()))
        print("\n".join(to_text(*one) for one in reports), end="")
    is_right = all(
        not report.faults and all(one.is_met for one in judged) for report, judged in reports
    )
    return 0 if is_right else 1


def _run(name: str, cores: tuple[int, int], wishes: Wishes) -> Report:
    if name not in LOADED:
        say(f"{name}: in this process")
        return parse.run(cores[1])
    with tempfile.TemporaryDirectory(prefix="sipcore-bench-") as folder:
        try:
            return LOADED[name](Path(folder), cores, wishes)
        except NodeFault as fault:
            return Report(name, faults=[str(fault)])


def _cores() -> tuple[int, int]:
    """Return the load's core and the node's; the same one where there is no other."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("bench", choices=[*NAMES, "all"])
    parser.add_argument("--json", action="store_true", help="figures for programs")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="length of the measured part (30)"
    )
    parser.add_argument(
        "--rate", type=int, default=0, help="operations a second of the measured part"
    )
    parser.add_argument("--no-search", action="store_true", help="leave out the highest rate")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER",
        help="py-spy on the signalling process in the measured part; no search",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
