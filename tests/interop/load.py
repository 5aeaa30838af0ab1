"""Calls beside the one that a test looks at: 20 a second, and what the node must have written of
them whatever was killed meanwhile."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.interop.devices import LINGER, Devices
from tests.interop.node import Node
from tests.interop.ports import HOST
from tests.interop.sipp import Peer
from tests.interop.town import Town
from tests.interop.waiting import until

CALLS_PER_S = 20
TALK_MS = 100
CALLER_MS, CALLEE_MS = 12_000, 3000  # patience with a node that says nothing: callers have more
# than a start takes, for who gives up without a CANCEL is a call that is answered and not ended
NUMBER = "02136413599"


def busy_pbx(town: Town, port: int) -> str:
    """Return more of a provisioning file: a PBX with lines enough, and a carrier that calls it."""
    plans = ", ".join(['"pbx-8-32"'] * 8)
    return (
        '\n[[customer]]\nid = "busy"\nname = "Busy"\ndomain = "busy.example"\nverified = true\n'
        f'[[customer.account]]\nid = "busy-1"\nplans = [{plans}]\nopened = 2026-01-01\n'
        f'[[customer.number]]\nnumber = "{NUMBER}"\naccount = "busy-1"\nto = "trunk:busy-pbx"\n'
        '[[customer.trunk]]\nid = "busy-pbx"\naccount = "busy-1"\nchannels = 50\n'
        f'uri = "sip:{HOST}:{port}"\naccept_from = ["{HOST}:{port}"]\n'
    )


class Load:
    """The calls of a carrier to the PBX. Some may fail; none may be lost or written twice."""

    def __init__(self, callers: Peer, callees: Peer) -> None:
        self._callers, self._callees = callers, callees
        until("calls are answered", lambda: len(self.answered()) > CALLS_PER_S / 2)

    def answered(self) -> set[str]:
        """Return the Call-IDs of all calls that the callers saw answered."""
        return {
            one.header("Call-ID")
            for one in self._callers.received("200")
            if one.header("CSeq").endswith("INVITE")
        }

    def goes_on(self) -> None:
        """Wait until calls are answered again."""
        before = len(self.answered())
        until("more calls are answered", lambda: len(self.answered()) > before + CALLS_PER_S, 15)

    def end(self) -> None:
        """Call no more; calls that are up may end."""
        self._callers.stop_calling()
        self._callees.end()

    def check(self, node: Node) -> None:
        """Every call that was answered has its one record."""
        answered = self.answered()
        assert len(answered) > 2 * CALLS_PER_S

        def all_are_there() -> bool:
            return answered <= {cdr["call_id"] for cdr in node.cdrs()}

        until("each answered call has its record", all_are_there, 10)
        written = Counter(cdr["call_id"] for cdr in node.cdrs())
        assert set(written.values()) == {1}, written.most_common(5)


@contextmanager
def load(devices: Devices, port: int) -> Iterator[Load]:
    """Let the PBX at `port` be called 20 times a second until the block is left."""
    patience = ("-recv_timeout", str(CALLEE_MS))
    callees = devices.answer(port, ms=0, calls=100_000, more=patience)
    callers = devices.sipp.start(
        "call",
        *("-s", NUMBER, "-d", str(TALK_MS), *LINGER, "0"),
        *("-r", str(CALLS_PER_S), "-m", "100000", "-recv_timeout", str(CALLER_MS)),
        port=devices.town.carrier_b,
        keys={"caller": "02150009999", "domain": "peer.example"},
    )
    running = Load(callers, callees)
    try:
        yield running
    finally:
        running.end()
