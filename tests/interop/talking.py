"""A call that is up, with sound both ways: what the tests of crashes and stops begin with."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.interop.devices import LONG_MS, Devices
from tests.interop.rtp import Talker, place_of
from tests.interop.sipp import Peer
from tests.interop.town import DESK, OUTSIDE
from tests.interop.waiting import until


class Talk:
    """A phone and a carrier in a call."""

    def __init__(self, phone: Peer, carrier: Peer, talkers: tuple[Talker, Talker]) -> None:
        self.phone, self.carrier = phone, carrier
        self._talkers = talkers
        until("sound comes through both ways", lambda: all(one.heard for one in talkers))

    @property
    def last_packet_at(self) -> float:
        """When the last packet was sent, seconds since 1970."""
        return max(one.last_at for one in self._talkers)

    @property
    def stopped_at(self) -> list[float]:
        """When the phone and the carrier have sent their last packets."""
        return [one.last_at for one in self._talkers]

    @property
    def late_s(self) -> float:
        """By how much the worst packet of either left later than it should: the machine is busy."""
        return max(one.late_s for one in self._talkers)

    def longest_gap_s(self, since: float) -> float:
        """Return the longest time, from a moment (monotonic) to now, that a side heard nothing."""
        return max(one.longest_gap_s(since) for one in self._talkers)

    @property
    def heard_until(self) -> float:
        """When the last of the two sides heard something last, monotonic."""
        return max(one.heard_at[-1] for one in self._talkers)

    def fall_silent(self) -> None:
        """Send no more sound; both sides stay in the call."""
        for one in self._talkers:
            one.stop()


@contextmanager
def talk(devices: Devices, ms: int = LONG_MS) -> Iterator[Talk]:
    """Let the desk phone call the carrier; whoever hangs up, the other side takes it."""
    carrier = devices.answer(devices.town.carrier_a, ms=0)
    phone = devices.call(DESK, OUTSIDE, "call" if ms < LONG_MS else "call_until_bye", ms=ms)
    towards_phone = place_of(phone.wait_for("200"))
    towards_carrier = place_of(carrier.wait_for("INVITE"))
    with ExitStack() as held:
        pairs = ((phone, towards_phone), (carrier, towards_carrier))
        first, second = (held.enter_context(Talker(peer.rtp_port, place)) for peer, place in pairs)
        yield Talk(phone, carrier, (first, second))
