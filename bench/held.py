"""Calls that are held: memory of one, and what a new call costs beside 100 and beside 10,000.

Held without media: the calls are answered and nobody speaks. Calls of no length come and go beside
them; all are a trunk's, without digest.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from bench import load, proc
from bench.load import Load, Plan, Run
from bench.measure import Wishes, say
from bench.node import Node, free_port, total
from bench.provision import PBX, injection, pbx, provisioning
from bench.report import Report
from bench.sipp import Sipp
from bench.stats import spread

CARRIER = "127.0.0.23"
HOLDER = "127.0.0.24"
FEW, MANY = 100, 10_000
FILL_PER_S = 250
RATE = 150
HELD_S = 900
PLAN = Plan(36.0, 5.0, 4)  # the first transactions end after 32 s


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the node's."""
    report = Report("held")
    carrier = (CARRIER, free_port())
    customers = provisioning(1, carrier) + pbx(HOLDER, MANY + 2000)
    with ExitStack() as up:
        node = up.enter_context(Node(folder / "node", customers, cores[1], MANY + 400, 3600))
        options = ["-i", carrier[0], "-p", str(carrier[1])]
        up.enter_context(Sipp(folder / "carrier", "carrier", options, cores[0]))
        trunk = Load("trunk", node.address, [PBX] * 16, cores[0], folder, source=HOLDER)
        _hold(up, trunk, node, FEW, report)
        few = _cost(trunk, node, FEW, report)
        before = proc.resident_kib(node.pids["signalling"])
        _hold(up, trunk, node, MANY - FEW, report)
        time.sleep(40.0)  # until the transactions of the last ones are over
        after = proc.resident_kib(node.pids["signalling"])
        many = _cost(trunk, node, MANY, report)
        report.faults += node.complaints()[:3]
    if few and many:
        report.figures["cost_ratio_many_to_few"] = many / few
        report.rows.append(("  beside 10,000 by beside 100", f"{many / few:.3f}"))
    each_kib = (after - before) / (MANY - FEW)
    report.figures["kib_a_held_call"] = each_kib
    report.rows.append(("memory of signalling, KiB a held call", f"{each_kib:.1f}"))
    return report


def _hold(up: ExitStack, trunk: Load, node: Node, calls: int, report: Report) -> None:
    """Begin calls that last longer than the bench, and wait until all are answered."""
    say(f"held: {calls} more calls")
    folder = trunk.folder / f"held-{calls}"
    phones = trunk.folder / f"held-{calls}.csv"
    phones.write_text(injection(trunk.phones), "ascii")
    host, port = trunk.target
    options = [
        f"{host}:{port}", "-i", trunk.source, "-inf", str(phones), "-r", str(FILL_PER_S),
        "-m", str(calls), "-l", str(calls), "-d", str(HELD_S * 1000), "-max_retrans", "6",
    ]  # fmt: skip
    wanted = calls + total(node.metrics(), "sipcore_calls_active")
    sipp = up.enter_context(Sipp(folder, "trunk", options, trunk.core))
    deadline = time.monotonic() + calls / FILL_PER_S * 3 + 10
    while (there := total(node.metrics(), "sipcore_calls_active")) < wanted:
        if time.monotonic() > deadline or not sipp.is_running:
            report.faults.append(f"{there:.0f} of {wanted:.0f} calls are held: {sipp.complaint()}")
            return
        time.sleep(1.0)


def _cost(trunk: Load, node: Node, held: int, report: Report) -> float | None:
    """Return CPU seconds of signalling per 1,000 calls that come and go beside those held."""
    say(f"held: {RATE} calls/s beside {held} held")
    ran: Run = load.run(trunk, RATE, PLAN, node.pids)
    if not ran.windows:
        report.faults.append(f"nothing went beside {held} held calls: {ran.complaint}")
        return None
    if ran.trial.failed:
        report.faults.append(f"{ran.trial.failed} calls failed beside {held} held")
    found = spread(one.cost["signalling"] for one in ran.windows)
    report.rows.append((f"CPU s per 1,000 calls beside {held} held: signalling", found.to_text()))
    report.figures[f"cpu_s_per_1000_beside_{held}"] = found.median
    return found.median
