"""What 100,000 registered contacts need: resident memory of the signalling process.

As many extensions of 782 customers, each signed in by REGISTER, 401, REGISTER with digest, 200 at a
real node. What is measured last is all that the process has then: program, Book and bindings.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Wishes, say
from bench.node import Node, free_port, total
from bench.provision import PHONES, injection, phones, provisioning
from bench.register import NO_CARRIER
from bench.report import Report
from bench.sipp import Sipp

CONTACTS = 100_000
ACCOUNTS = -(-CONTACTS // PHONES)
PROCESSES, PER_PROCESS_S = 3, 500  # SIPps, and what each registers in a second
ROUNDS = 3  # a machine that is busy with something else lets a node refuse some (503)
SETTLE_S = 36.0  # transactions end after 32 s
MIB = 1 << 20


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the node's."""
    report = Report("contacts")
    with Node(folder / "node", provisioning(ACCOUNTS, NO_CARRIER), cores[1]) as node:
        before = _resident_mib(node)
        say(f"contacts: {CONTACTS} phones register")
        began = time.monotonic()
        complaint = ""
        ports = [free_port() for _ in range(PROCESSES)]  # contacts are the same in each round
        for number in range(ROUNDS):
            if total(node.metrics(), "sipcore_bindings") < CONTACTS:
                complaint = _register(node, folder / f"round-{number}", cores[0], ports)
        took_s = time.monotonic() - began
        peak = _resident_mib(node)
        time.sleep(SETTLE_S)
        after, there = _resident_mib(node), total(node.metrics(), "sipcore_bindings")
        if there != CONTACTS:
            report.faults.append(f"{there:.0f} of {CONTACTS} contacts are there: {complaint}")
        report.faults += node.complaints()[:3]
    report.rows = [
        (f"registered in {took_s:.0f} s", f"{there:.0f} contacts"),
        ("signalling before (program and Book)", f"{before:.1f} MiB"),
        ("  when the last has registered (with transactions)", f"{peak:.1f} MiB"),
        (f"  {SETTLE_S:.0f} s later", f"{after:.1f} MiB"),
        ("  of that a contact", f"{(after - before) * 1024 / CONTACTS:.2f} KiB"),
    ]
    if there == CONTACTS:
        report.figures["mib_100000_contacts"] = after
        report.figures["kib_a_contact"] = (after - before) * 1024 / CONTACTS
    return report


def _register(node: Node, folder: Path, core: int, ports: list[int]) -> str:
    """Register every phone once; return what SIPp had to say, if anything."""
    host, port = node.address
    folder.mkdir()
    everybody = phones(ACCOUNTS)[:CONTACTS]
    sipps: list[Sipp] = []
    with ExitStack() as up:
        for at, own in enumerate(ports):
            mine = everybody[at::PROCESSES]
            file = folder / f"phones-{at}.csv"
            file.write_text(injection(mine), "ascii")
            options = [
                f"{host}:{port}", "-i", "127.0.0.1", "-p", str(own), "-inf", str(file),
                "-r", str(PER_PROCESS_S), "-m", str(len(mine)),
                "-l", str(PER_PROCESS_S * 4), "-max_retrans", "6",
            ]  # fmt: skip
            sipps.append(up.enter_context(Sipp(folder / f"sipp-{at}", "register", options, core)))
        deadline = time.monotonic() + 3 * CONTACTS / PROCESSES / PER_PROCESS_S
        while any(one.is_running for one in sipps) and time.monotonic() < deadline:
            time.sleep(0.5)
    return next((said for one in sipps if (said := one.complaint())), "")


def _resident_mib(node: Node) -> float:
    return total(node.metrics(), "sipcore_resident_bytes", 'process="signalling"') / MIB
