"""A dialog that the journal has kept is the one that was."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sipcore.call.caller import CallerLeg
from sipcore.call.keep import MOST_NUMBER, dialog_of, has_moved, keep
from sipcore.call.leg import Leg
from sipcore.cdr.entry import Answered, parse_line, to_line
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.stack import Stack
from sipcore.endpoint import Endpoint
from sipcore.message.flow import GONE, Flow
from sipcore.metrics import Metrics
from sipcore.transport.resolve import Resolver
from tests.cdr.samples import answered_call
from tests.media.net import seeded

FLOW = Flow("tls", "10.0.0.1", 5061, "10.0.1.1", 49152, 7, "gw.example")
octets = st.binary(max_size=12).map(
    lambda raw: raw.replace(b'"', b"").replace(b"\\", b"").decode("utf-8", "surrogateescape")
)


def leg_of(dialog: Dialog) -> Leg:
    """Return a leg that has a dialog, without anybody at its other end."""
    loop = asyncio.new_event_loop()

    async def made() -> Leg:
        endpoint = Endpoint(Stack(seeded().token), Resolver(loop), Metrics())
        leg = Leg(endpoint, lambda *_: None, "", "")
        leg.side = CallerLeg.side
        leg.dialog = dialog
        return leg

    try:
        return loop.run_until_complete(made())
    finally:
        loop.close()


@given(octets, octets, st.integers(0, MOST_NUMBER), st.lists(octets, max_size=3))
def test_a_dialog_comes_back_from_its_line(
    name: str, call_id: str, number: int, route: list[str]
) -> None:
    ends = (call_id, f'"{name}" <sip:a@x>;tag=mine', f'"{name}" <sip:b@x>;tag=theirs')
    dialog = Dialog.restored(ends, number, f"sip:{name}@y", route, FLOW)
    line = to_line(Answered(answered_call(1), (keep(leg_of(dialog)),)))
    entry = parse_line(line)
    assert isinstance(entry, Answered)
    again = dialog_of(entry.legs[0])
    assert (again.call_id, again.local, again.remote) == ends
    assert again.key == ("mine", "theirs")
    assert (again.peer_contact, again.route_set) == (f"sip:{name}@y", route)
    assert (again.flow.remote_address, again.flow.connection) == ("10.0.1.1", GONE)
    assert again.flow.domain == "gw.example"
    assert number < again.local_number + 1 <= MOST_NUMBER or number >= MOST_NUMBER - 1


def test_a_leg_has_moved_once_its_contact_or_its_flow_is_another() -> None:
    dialog = Dialog.restored(("1", "<sip:a@x>", "<sip:b@x>"), 1, "sip:b@y", (), FLOW)
    leg = leg_of(dialog)
    assert not has_moved(leg), "it was never written down"
    keep(leg)
    assert not has_moved(leg)
    dialog.peer_contact = "sip:b@z"
    assert has_moved(leg)
    keep(leg)
    dialog.flow = Flow("udp", "10.0.0.1", 5060, "10.0.1.1", 5060)
    assert has_moved(leg)
