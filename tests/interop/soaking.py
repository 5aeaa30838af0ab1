"""A soak: who calls whom at a constant rate, and what the node's gauges say meanwhile."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from msgspec import Struct

from bench.node import parse_metrics, total
from tests.interop.devices import LINGER, Devices
from tests.interop.node import Node
from tests.interop.ports import HOST, Ports
from tests.interop.sipp import Peer
from tests.interop.waiting import at_intervals

MIB = 1 << 20
TASKS = "sipcore_tasks"  # some live as long as the node
COUNTS = (
    *("sipcore_calls_active", "sipcore_transactions", "sipcore_dialogs", "sipcore_slots"),
    *("sipcore_media_calls", "sipcore_media_streams", "sipcore_subscriptions"),
)
RESIDENT = "sipcore_resident_bytes"
FILES = "sipcore_open_files"
PROCESSES = ("supervisor", "signalling", "media-0", "web")
Sample = dict[str, float]


class Kind(Struct, frozen=True):
    """Calls of one kind: their number, scenarios of both sides, how many a second, `ms` of each."""

    number: str
    caller: str
    callee: str
    per_s: int
    ms: int
    ring_ms: int = 100


KINDS = (  # together 20 calls a second and some 35 at a time
    Kind("02136413591", "call", "answer", 12, 2500),
    Kind("02136413592", "call_and_hold", "answer_and_be_held", 2, 1000),
    Kind("02136413593", "call_and_cancel", "ring", 3, 800),
    Kind("02136413594", "call_refused", "refuse", 3, 0),
)
EXPECTED = {"answered": 14, "cancelled": 3, "busy": 3}  # a second


class Crowd:
    """A carrier that calls a PBX in every kind of call, each kind from and to ports of its own."""

    def __init__(self, ports: Ports) -> None:
        self._from = [ports.take() for _ in KINDS]
        self._to = [ports.take() for _ in KINDS]

    def provisioning(self) -> str:
        """Return more of a provisioning file."""
        plans = ", ".join(['"pbx-8-32"'] * 12)
        sources = ", ".join(f'"{HOST}:{port}"' for port in self._from)
        parts = [
            f'\n[[carrier]]\nid = "soak"\nuri = "sip:{HOST}:{self._from[0]}"\nchannels = 100\n'
            f'accept_from = [{sources}]\nallow = ["national"]\n'
            '[[customer]]\nid = "soak"\nname = "Soak"\ndomain = "soak.example"\nverified = true\n'
            f'[[customer.account]]\nid = "soak-1"\nplans = [{plans}]\nopened = 2026-01-01\n'
        ]
        parts += [
            f'[[customer.number]]\nnumber = "{kind.number}"\naccount = "soak-1"\n'
            f'to = "trunk:{kind.callee}"\n[[customer.trunk]]\nid = "{kind.callee}"\n'
            f'account = "soak-1"\nuri = "sip:{HOST}:{port}"\naccept_from = ["{HOST}:{port}"]\n'
            "channels = 60\n"
            for kind, port in zip(KINDS, self._to, strict=True)
        ]
        return "".join(parts)

    @contextmanager
    def calling(self, devices: Devices) -> Iterator[None]:
        """Call until the block is left; then let the calls that are up end."""
        sipp = devices.sipp
        for kind, port in zip(KINDS, self._to, strict=True):
            options = ("-d", str(kind.ring_ms), *LINGER, "0", "-m", "1000000")
            keys: dict[str, str | int] = {"status": 486, "reason": "Busy Here"}
            sipp.listen(kind.callee, *options, port=port, keys=keys)
        callers: list[Peer] = []
        for kind, port in zip(KINDS, self._from, strict=True):
            options = ("-s", kind.number, "-d", str(kind.ms), *LINGER, "0")
            rate = ("-r", str(kind.per_s), "-m", "1000000")
            keys = {"caller": "02150009999", "domain": "peer.example"}
            callers.append(sipp.start(kind.caller, *options, *rate, port=port, keys=keys))
        yield
        for caller in callers:
            caller.stop_calling(20)


def page_of(node: Node) -> Sample:
    """Return every sample of /metrics."""
    with urllib.request.urlopen(f"http://{HOST}:{node.web}/metrics", timeout=10) as answer:
        return parse_metrics(answer.read().decode())


def ended(node: Node) -> Sample:
    """Return how many calls have ended in each way that the crowd has."""
    page = page_of(node)
    return {
        cause: total(page, "sipcore_calls_total", f'cause_class="{cause}"') for cause in EXPECTED
    }


def sample(node: Node) -> Sample:
    """Return what the node says of itself now: counts, memory and files of each process."""
    page = page_of(node)
    found = {name: total(page, name) for name in (*COUNTS, TASKS)}
    for process in PROCESSES:
        for name in (RESIDENT, FILES):
            label = f'process="{process}"'
            found[f"{name} {process}"] = total(page, name, label)
    return found


def samples(node: Node, every_s: float, for_s: float) -> list[Sample]:
    """Return samples taken in step for some time."""
    return [sample(node) for _ in at_intervals(every_s, for_s)]


def thirds(taken: list[Sample], name: str) -> tuple[float, float]:
    """Return the median of the first third and of the last third."""
    third = len(taken) // 3
    values = [one[name] for one in taken]
    return median(values[:third]), median(values[-third:])


def margin(name: str, first: float, memory_mib: float) -> float:
    """Return by how much the last third may be above the first: chance, not growth."""
    if name.startswith(RESIDENT):
        return memory_mib * MIB
    return 5 + first / 10
