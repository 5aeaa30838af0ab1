"""A peer wants a password of us for a call (RFC 3261 22): the same INVITE again, signed.

What is sent within the dialog is signed by its leg. Who signs, and with what, Trunks knows.
"""

from typing import TYPE_CHECKING

from sipcore.dialog.events import Reply
from sipcore.message.message import Request
from sipcore.message.signer import CHALLENGED

if TYPE_CHECKING:
    from sipcore.call.callee import CalleeLeg
    from sipcore.call.group import Caller, Group


def rings_signed(call: "Caller", group: "Group", leg: "CalleeLeg", event: Reply) -> bool:
    """Ring again with credentials. False where we have none, or they were refused."""
    if event.response.status not in CHALLENGED or event.is_local:
        return False
    way, signer = group.ways[leg], leg.signer
    if signer is None and way.peer is not None:
        signer = call.desk.trunks.signer(way.peer)
    if signer is None or not signer.learn(event.response):
        return False
    request = event.request
    headers = request.headers | {"CSeq": [f"{request.cseq.number + 1} INVITE"]}
    again = Request("INVITE", request.uri, headers, request.body)
    signer.sign(again)
    group.legs.remove(leg)
    group.send(call, way, leg.party, again).signer = signer
    return True
