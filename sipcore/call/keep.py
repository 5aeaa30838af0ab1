"""What the journal keeps of a leg, and a dialog made of it again: all that a BYE needs."""

from sipcore.call.leg import Leg, Party
from sipcore.cdr.entry import LegLine
from sipcore.dialog.dialog import Dialog
from sipcore.message.flow import GONE, Flow
from sipcore.policy.attempt import CarrierTarget, Source, TrunkTarget

# Requests of ours after the answer raise the number, and are not written down. It need only rise
# (RFC 3261 12.2.1.1), so a restored dialog goes on far above.
NUMBER_STEP = 10_000
MOST_NUMBER = 2**31 - 1  # 8.1.1.5


def keep(leg: Leg) -> LegLine:
    """Return a leg's line. It must have a dialog."""
    dialog = leg.dialog
    assert dialog is not None
    flow, route = dialog.flow, tuple(dialog.route_set)
    leg.kept_at = dialog.peer_contact, flow
    texts = dialog.call_id, dialog.local, dialog.remote, dialog.peer_contact
    if not "".join((*texts, *route)).isascii():
        call_id, local, remote, contact = map(_to_line, texts)
        route = tuple(map(_to_line, route))
    else:
        call_id, local, remote, contact = texts
    return LegLine(
        leg.side,
        call_id,
        local,
        remote,
        dialog.local_number,
        contact,
        (
            flow.transport,
            flow.local_address,
            flow.local_port,
            flow.remote_address,
            flow.remote_port,
        ),
        route,
        flow.domain,
        _peer(leg.party),
    )


def _peer(party: Party) -> str:
    """Return whose login its requests may be asked for."""
    if isinstance(party, CarrierTarget):
        return f"carrier:{party.id}"
    if isinstance(party, TrunkTarget):
        return f"trunk:{party.id}"
    if isinstance(party, Source) and party.kind != "extension":
        return f"{party.kind}:{party.id}"
    return ""


def has_moved(leg: Leg) -> bool:
    """Tell whether the peer of an answered leg is not where its line has it."""
    dialog, kept_at = leg.dialog, leg.kept_at
    return (
        kept_at is not None
        and dialog is not None
        and (
            dialog.peer_contact != kept_at[0]
            or (dialog.flow is not kept_at[1] and dialog.flow != kept_at[1])
        )
    )


def dialog_of(line: LegLine) -> Dialog:
    """Make a leg's dialog again. Raises BadMessage."""
    ends = _of_line(line.call_id), _of_line(line.local), _of_line(line.remote)
    number = min(line.number + NUMBER_STEP, MOST_NUMBER - 1)
    route = [_of_line(one) for one in line.route]
    connection = 0 if line.flow[0] == "udp" else GONE
    flow = Flow(*line.flow, connection, line.domain)
    return Dialog.restored(ends, number, _of_line(line.target), route, flow)


def _to_line(text: str) -> str:
    """JSON has no place for octets that are no UTF-8 (GBK display names)."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _of_line(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")
