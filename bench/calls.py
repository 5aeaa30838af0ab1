"""Calls from phones to a carrier through a real node: cost of each process, and the highest rate.

A call: INVITE, 401, ACK, INVITE with digest, 100, 180, 200, ACK, BYE, 200 at the phone; 1 ms of
ringing and no hold at the carrier. Admission, media ports, journal and CDR are real; no RTP.
Beside it, in turn and without the digest, the same calls through Sippy B2BUA.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from bench import charts
from bench.load import Load, Run
from bench.measure import Subject, Wishes, say, search, steady, words
from bench.node import Node, free_port
from bench.provision import PBX, pbx, phones, provisioning
from bench.report import Report
from bench.rounds import ROUNDS, Round, Side, compare
from bench.sippy import Sippy
from bench.stats import spread

ACCOUNTS = 16
CARRIER = "127.0.0.21"
TRUNK = "127.0.0.22"
LEAST_ROUNDS = 2
SUBJECT = Subject(
    bench="calls",
    unit="calls",
    rate=400,
    start=300,
    messages_in=9,  # phone: 2 INVITE, 2 ACK, BYE; carrier: 100, 180, 200, 200 to the BYE
    messages_out=8,  # phone: 401, 100, 180, 200, 200 to the BYE; carrier: INVITE, ACK, BYE
    most_trials=10,
    ladder=(100, 200),
)
PEER = Subject(
    bench="calls", unit="calls", rate=200, start=150, messages_in=7, messages_out=7,
    most_trials=5, peer="sippy",
)  # fmt: skip


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the node's."""
    report = Report(SUBJECT.bench)
    carrier = (CARRIER, free_port())
    customers = provisioning(ACCOUNTS, carrier) + pbx(TRUNK)
    with Node(folder / "node", customers, cores[1]) as node:
        load = Load("phone", node.address, phones(ACCOUNTS), cores[0], folder, carrier)
        ran = steady(SUBJECT, load, node, wishes, report)
        _check_records(node, ran.trial.done, report)
        trials: dict[str, list[Run]] = {"sipcore": []}
        if wishes.with_peers:
            with Sippy(folder / "sippy", carrier, cores[1]) as sippy:
                trunk = Load(
                    "trunk", sippy.address, [PBX] * 16, cores[0], folder, carrier, source=TRUNK
                )
                _beside(node, sippy, trunk, wishes, report)
                if wishes.is_searching:
                    trials["sippy"] = search(PEER, trunk, sippy, report)
        if wishes.is_searching:  # at last: an overload leaves calls behind
            trials["sipcore"] = search(SUBJECT, load, node, report)
            report.charts += charts.against_rate(SUBJECT.bench, SUBJECT.unit, trials)
        report.faults += node.complaints()[:3]
    return report


def _beside(node: Node, sippy: Sippy, trunk: Load, wishes: Wishes, report: Report) -> None:
    """Send both the same calls in turn: from a trunk known by its address, so without digest."""
    seconds = max(4.0, wishes.seconds / ROUNDS)
    say(f"calls: sipcore and Sippy B2BUA in turn, {seconds:g} s each, {PEER.rate} calls/s")
    sides = {
        "sipcore": Side(node.pids, replace(trunk, target=node.address)),
        "sippy": Side(sippy.pids, trunk),
    }
    every = compare(sides, PEER.rate, seconds)
    rounds = [one for one in every if one.holds]
    report.rows.append(
        (
            "in turn with Sippy B2BUA, no digest",
            f"{PEER.rate} calls/s; {len(rounds)} of {len(every)} rounds held by both",
        )
    )
    report.faults += [f"Sippy B2BUA: {said}" for said in sippy.complaints()[:3]]
    if len(rounds) < LEAST_ROUNDS:
        report.faults += [words(run.trial, PEER) for one in every for run in one.runs.values()]
        return
    _report_ratio(rounds, report)
    title = f"calls: delay to the 200 at {PEER.rate} calls/s, no digest"
    delays = {name: [ms for one in rounds for ms in one.runs[name].delays_ms] for name in sides}
    report.charts.append(charts.distribution(title, delays))


def _report_ratio(rounds: Sequence[Round], report: Report) -> None:
    """The ratio is the median of those of the rounds."""
    for name in rounds[0].cost:
        found = spread(one.cost[name] for one in rounds)
        report.figures[f"in_turn_{name}_cpu_s_per_1000"] = found.median
        report.rows.append((f"  CPU s per 1,000 calls: {name}", found.to_text()))
    signalling = spread(one.cost["signalling"] / one.cost["sippy"] for one in rounds)
    whole = spread(sum(one.cost.values()) / one.cost["sippy"] - 1 for one in rounds)
    report.figures["cpu_ratio_to_sippy"] = signalling.median
    report.figures["whole_cpu_ratio_to_sippy"] = whole.median
    report.rows += [
        ("  CPU of signalling by that of Sippy", signalling.to_text()),
        ("  CPU of all of sipcore by that of Sippy", whole.to_text()),
    ]
    own = report.figures.get("signalling_cpu_s_per_1000")
    if own is not None:
        ratio = own / report.figures["in_turn_sippy_cpu_s_per_1000"]
        report.figures["steady_cpu_ratio_to_sippy"] = ratio
        report.rows.append(("  the same, of signalling in the steady part", f"{ratio:.3f}"))


def _check_records(node: Node, done: int, report: Report) -> None:
    """Every call left one CDR, and every CDR says that it was answered."""
    records = list(node.records())
    answered = sum(one.get("answered_at") not in (None, "") for one in records)
    report.rows.append(("calls / CDRs / answered", f"{done} / {len(records)} / {answered}"))
    report.figures |= {"cdrs": float(len(records)), "cdrs_answered": float(answered)}
    if not done == len(records) == answered:
        report.faults.append(f"{done} calls left {len(records)} CDRs, {answered} answered")
