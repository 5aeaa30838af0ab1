"""Calls from phones to a carrier through a real node: cost of each process, and the highest rate.

A call: INVITE, 401, ACK, INVITE with digest, 100, 180, 200, ACK, BYE, 200 at the phone; 1 ms of
ringing and no hold at the carrier. Admission, media ports, journal and CDR are real; no RTP.
"""

from pathlib import Path

from bench.load import Load
from bench.measure import Subject, Wishes, search, steady
from bench.node import Node, free_port
from bench.provision import phones, provisioning
from bench.report import Report

ACCOUNTS = 16
CARRIER = "127.0.0.21"
SUBJECT = Subject(
    bench="calls",
    unit="calls",
    rate=300,
    start=200,
    messages_in=9,  # phone: 2 INVITE, 2 ACK, BYE; carrier: 100, 180, 200, 200 to the BYE
    messages_out=8,  # phone: 401, 100, 180, 200, 200 to the BYE; carrier: INVITE, ACK, BYE
)


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the node's."""
    report = Report(SUBJECT.bench)
    carrier = (CARRIER, free_port())
    with Node(folder / "node", provisioning(ACCOUNTS, carrier), cores[1]) as node:
        load = Load("phone", node.address, phones(ACCOUNTS), cores[0], folder, carrier)
        ran = steady(SUBJECT, load, node, wishes, report)
        _check_records(node, ran.trial.done, report)
        if wishes.is_searching:
            search(SUBJECT, load, node, report)
        report.faults += node.complaints()[:3]
    return report


def _check_records(node: Node, done: int, report: Report) -> None:
    """Every call left one CDR, and every CDR says that it was answered."""
    records = list(node.records())
    answered = sum(one.get("answered_at") not in (None, "") for one in records)
    report.rows.append(("calls / CDRs / answered", f"{done} / {len(records)} / {answered}"))
    report.figures |= {"cdrs": float(len(records)), "cdrs_answered": float(answered)}
    if not done == len(records) == answered:
        report.faults.append(f"{done} calls left {len(records)} CDRs, {answered} answered")
