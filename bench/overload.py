"""A real node at twice its capacity for 20 s, then at half of it: what it completes meanwhile, and
how soon it lets everything in again. Capacity is the highest rate that holds, or --rate."""

import time
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from bench.calls import ACCOUNTS, CARRIER, SUBJECT
from bench.load import Load, answering, callers
from bench.measure import Wishes, say, search
from bench.node import Node, free_port, total
from bench.provision import phones, provisioning
from bench.report import Report
from bench.sipp import Sipp
from bench.stats import value_at

OVERLOAD_S, AFTER_S = 20.0, 15.0
SETTLE_S = 3.0  # of the overload: the queue fills, and the share is found
LOOK_S = 0.25


class _Watched(Struct):
    """What the node said: seconds since the load began, share let in."""

    shares: list[tuple[float, float]] = []


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the node's."""
    report = Report("overload")
    carrier = (CARRIER, free_port())
    with Node(folder / "node", provisioning(ACCOUNTS, carrier), cores[1]) as node:
        load = Load("phone", node.address, phones(ACCOUNTS), cores[0], folder, carrier)
        if not wishes.rate:
            search(SUBJECT, load, node, report)
        capacity = wishes.rate or int(report.figures["highest_rate"])
        _overload(load, node, capacity, report)
        report.faults += node.complaints()[:3]
    return report


def _overload(load: Load, node: Node, capacity: int, report: Report) -> None:
    say(f"overload: {capacity * 2} calls/s for {OVERLOAD_S:g} s, then {capacity // 2} calls/s")
    before = node.metrics()
    watched = _Watched()
    with ExitStack() as held:
        assert load.carrier is not None
        held.enter_context(answering(load, load.carrier, load.folder / "overload"))
        time.sleep(0.3)
        began = time.time()
        first = _start(held, load, capacity * 2, OVERLOAD_S, "over")
        _watch(node, began, OVERLOAD_S, watched)
        second = _start(held, load, capacity // 2, AFTER_S, "after")
        _watch(node, began, OVERLOAD_S + AFTER_S, watched)
        for one in (*first, *second):
            one.stop()
    _judge(first, began, capacity, report)
    _report_recovery(watched, second, began, capacity, report)
    shed = total(node.metrics(), "sipcore_shed_total") - total(before, "sipcore_shed_total")
    report.figures["shed"] = shed
    report.rows.append(("requests refused unread", f"{shed:g}"))


def _start(held: ExitStack, load: Load, rate: int, seconds: float, name: str) -> list[Sipp]:
    made = callers(load, rate, seconds, load.folder / name)
    return [held.enter_context(one) for one in made]


def _watch(node: Node, began: float, until_s: float, watched: _Watched) -> None:
    while (at := time.time() - began) < until_s:
        try:
            share = total(node.metrics(), "sipcore_admitted_share")
        except OSError:  # the web process waits for signalling 2 s at most
            share = 0.0
        watched.shares.append((at, share))
        time.sleep(LOOK_S)


def _judge(first: list[Sipp], began: float, capacity: int, report: Report) -> None:
    found = [one.statistics() for one in first]
    since, until = began + SETTLE_S, began + OVERLOAD_S
    done = sum(value_at(f.finished, until) - value_at(f.finished, since) for f in found)
    created = sum(one.created for one in found)
    share = done / (until - since) / capacity
    report.figures |= {"capacity": float(capacity), "completed_share": share}
    report.rows += [
        ("capacity", f"{capacity} calls/s"),
        ("begun under twice the capacity", f"{created / OVERLOAD_S:.0f} calls/s"),
        ("completed meanwhile, of the capacity", f"{share:.2f}"),
    ]


def _report_recovery(
    watched: _Watched, second: list[Sipp], began: float, capacity: int, report: Report
) -> None:
    """Recovered is when nothing new is refused any more, up to the end."""
    late = [at for at, share in watched.shares if at > OVERLOAD_S and share < 1.0]
    recovery_s = max(late, default=OVERLOAD_S) - OVERLOAD_S
    found = [one.statistics() for one in second]
    until = began + OVERLOAD_S + AFTER_S - 1
    done = sum(value_at(f.finished, until) - value_at(f.finished, until - 4) for f in found)
    report.figures |= {
        "recovery_s": recovery_s,
        "completed_after": done / 4 / (capacity // 2),
    }
    least = min((share for _, share in watched.shares), default=1.0)
    report.rows += [
        ("least share let in", f"{least:.2f}"),
        ("recovered after the load fell", f"{recovery_s:.1f} s"),
        ("completed at half the capacity, at last", f"{done / 4:.0f} calls/s"),
    ]
