"""Registrations with digest at a real node: cost of each process, and the highest rate.

A registration: REGISTER, 401, REGISTER with digest, 200. Every phone has its own user and password;
bindings go to the database behind.
"""

from pathlib import Path

from bench.charts import against_rate
from bench.load import Load
from bench.measure import Subject, Wishes, search, steady
from bench.node import Node
from bench.provision import phones, provisioning
from bench.report import Report

ACCOUNTS = 80  # of 128 phones each
NO_CARRIER = ("127.0.0.21", 25060)
SUBJECT = Subject(
    bench="register",
    unit="registrations",
    rate=1000,
    start=1000,
    messages_in=2,
    messages_out=2,
)


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the node's."""
    report = Report(SUBJECT.bench)
    with Node(folder / "node", provisioning(ACCOUNTS, NO_CARRIER), cores[1]) as node:
        load = Load("register", node.address, phones(ACCOUNTS), cores[0], folder)
        steady(SUBJECT, load, node, wishes, report)
        if wishes.is_searching:
            trials = search(SUBJECT, load, node, report)
            report.charts += against_rate(SUBJECT.bench, SUBJECT.unit, {"sipcore": trials})
        report.faults += node.complaints()[:3]
    return report
