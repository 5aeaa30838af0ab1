"""`python -m bench`: which bench, how long, and what to do with the figures."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import calls, contacts, held, media, overload, parse, register, reload, rtpengine, sippy
from bench.measure import Wishes, say
from bench.node import NodeFault
from bench.plot import FORMATS, draw
from bench.report import (
    BUDGETS,
    Judged,
    Report,
    expected,
    judge,
    machine,
    read_budgets,
    to_object,
    to_text,
)

LOADED = {"register": register.run, "calls": calls.run, "held": held.run,
          "media": media.run, "overload": overload.run, "reload": reload.run,
          "contacts": contacts.run}  # fmt: skip
WITH_SIPP = {"register", "calls", "contacts", "held", "overload"}
NAMES = ("parse", *LOADED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benches; return 1 for a budget not met or a faulty run, 2 for want of means."""
    arguments = _parser().parse_args(argv)
    names = NAMES if arguments.bench == "all" else (arguments.bench,)
    wishes = Wishes(
        arguments.seconds, arguments.rate, not arguments.no_search and not arguments.profile,
        arguments.profile, not arguments.no_peers and not arguments.profile,
    )  # fmt: skip
    if (fault := _missing(names, wishes)) is not None:
        print(f"bench: {fault}", file=sys.stderr)
        return 2
    budgets = read_budgets(BUDGETS.read_text("utf-8"))
    cores = _cores()
    os.sched_setaffinity(0, {cores[0]})
    reports: list[tuple[Report, list[Judged]]] = []
    for name in names:
        report = _run(name, cores, wishes)
        is_searching = wishes.is_searching or name not in LOADED
        judged = judge(budgets, report)
        reports.append((report, expected(judged, searching=is_searching, peers=wishes.with_peers)))
    _show(reports, arguments.json, arguments.plot)
    is_right = all(
        not report.faults and all(one.is_met for one in judged) for report, judged in reports
    )
    return 0 if is_right else 1


def _show(reports: list[tuple[Report, list[Judged]]], as_json: bool, path: Path | None) -> None:
    about = ", ".join(f"{key} {value}" for key, value in machine().items())
    if as_json:
        found = {one.bench: to_object(one, judged) for one, judged in reports}
        print(json.dumps({"machine": machine(), "benches": found}, indent=2))
    else:
        print(about)
        print("\n".join(to_text(*one) for one in reports), end="")
    if path is not None:
        draw([chart for report, _ in reports for chart in report.charts], about, path)


def _missing(names: Sequence[str], wishes: Wishes) -> str | None:
    """Say what the benches need and the machine has not."""
    if shutil.which("sipp") is None and not WITH_SIPP.isdisjoint(names):
        return "SIPp is needed: apt-get install sip-tester"
    if wishes.with_peers and "calls" in names and not sippy.is_there():
        return "Sippy B2BUA is needed: make peers (or leave it out: --no-peers)"
    if wishes.with_peers and "media" in names and not rtpengine.is_there():
        return f"rtpengine is needed: apt-get install {rtpengine.PACKAGE} (or --no-peers)"
    return None


def _run(name: str, cores: tuple[int, int], wishes: Wishes) -> Report:
    if name not in LOADED:
        say(f"{name}: in this process")
        return parse.run(cores[1])
    with tempfile.TemporaryDirectory(prefix="sipcore-bench-") as folder:
        try:
            return LOADED[name](Path(folder), cores, wishes)
        except (NodeFault, OSError) as fault:  # OSError: a process to be measured has ended
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
        "--plot", type=_picture, metavar="FILE", help="draw the charts: .png or .svg"
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="length of the measured part (30)"
    )
    parser.add_argument(
        "--rate", type=int, default=0, help="operations a second of the measured part"
    )
    parser.add_argument("--no-search", action="store_true", help="leave out the highest rate")
    parser.add_argument("--no-peers", action="store_true", help="leave out other people's programs")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER",
        help="py-spy on the signalling process in the measured part; no search",
    )  # fmt: skip
    return parser


def _picture(name: str) -> Path:
    path = Path(name)
    if path.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"{name} does not end in {' or '.join(FORMATS)}")
    return path


if __name__ == "__main__":
    sys.exit(main())
