"""A peer's next place, when one fails (RFC 3263 4.3): the same INVITE there, under a new branch.

Failed: nothing could be sent, nothing came back for a while, or 503.
"""

from typing import TYPE_CHECKING

from msgspec import structs

from sipcore.dialog.events import Reply
from sipcore.message.reason import OF_THE_CALLEE, q850_in
from sipcore.message.values import parse_number

if TYPE_CHECKING:
    from sipcore.call.callee import CalleeLeg
    from sipcore.call.group import Caller, Group
    from sipcore.message.message import Request


def note_reply(call: "Caller", group: "Group", leg: "CalleeLeg", event: Reply) -> None:
    """Take note of who lives, who does not, and who asks to be left alone (RFC 3261 21.5.4)."""
    way, status = group.ways[leg], event.response.status
    if way.contact is not None:  # a phone: it has its own ways to be given up
        return
    endpoint, hop = call.desk.endpoint, way.hop
    if not event.is_local and status != 503:
        endpoint.answered(hop)
    elif event.is_local:
        endpoint.failed(hop)
    elif (pause_s := parse_number(event.response.first("Retry-After") or "")) is not None:
        endpoint.failed(hop, pause_s)


def rings_at_next(call: "Caller", group: "Group", leg: "CalleeLeg", event: Reply) -> bool:
    """Ring at the peer's next place if this one failed; False where that is no cure."""
    is_cure = event.is_local or (
        event.response.status == 503 and q850_in(event.response) not in OF_THE_CALLEE
    )
    return is_cure and not group.has_rung and _ring_next(call, group, leg, event.request)


def rings_on(call: "Caller", group: "Group") -> bool:
    """Nothing has come from anybody: ring at the next places, and leave the silent ones."""
    is_any = False
    for leg in list(group.legs):
        if leg.is_over or group.ways[leg].contact is not None:
            continue
        call.desk.endpoint.failed(group.ways[leg].hop)
        if not group.ways[leg].others:
            continue
        request = leg.transaction.request
        leg.cancel()
        is_any = _ring_next(call, group, leg, request) or is_any
    return is_any


def _ring_next(call: "Caller", group: "Group", leg: "CalleeLeg", request: "Request") -> bool:
    way = group.ways[leg]
    if not way.others:
        return False
    group.legs.remove(leg)
    next_way = structs.replace(way, hop=way.others[0], others=way.others[1:])
    group.ring(call, next_way, leg.party, request)
    return True
