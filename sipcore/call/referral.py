"""What becomes of a REFER within a call: may its sender, and which kind of transfer is it."""

from functools import partial

from sipcore.call.attended import attend
from sipcore.call.ending import Ending
from sipcore.call.identity import number_in
from sipcore.call.transfer import Transfer
from sipcore.errors import BadMessage
from sipcore.message.message import Request
from sipcore.message.refer import Referred, names_referrer, referred_by

MOST_PARTS = 8  # attempts that one call may lead to
REFUSED = 403


def refer(transfer: Transfer, request: Request) -> int:
    """Begin the transfer that a REFER asks for; return the status that it gets.

    From a carrier it is refused: nobody there has rights here (a transfer is an attempt of its
    sender's). The answer goes out before anything else, NOTIFY included.
    """
    try:
        wish = referred_by(request)
        dialled = number_in(wish.target)
        transfer.names_referrer = names_referrer(request)
    except BadMessage as fault:
        return fault.status
    if transfer.source.kind == "carrier" or len(transfer.call.parts) >= MOST_PARTS:
        return REFUSED
    if transfer.stays.is_over:
        return 603
    transfer.is_over = False
    transfer.later(partial(_start, transfer, wish, dialled), 0.0)
    return 202


async def _start(transfer: Transfer, wish: Referred, dialled: str) -> Ending | None:
    transfer.report.say(100)
    if wish.replaces is not None:
        return await attend(transfer, wish.replaces)
    return await transfer.ring(dialled)
