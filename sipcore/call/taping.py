"""Which calls are recorded, and what their record says of it. Who records is media/recorder.py."""

from typing import TYPE_CHECKING

from sipcore.call.callee import CalleeLeg
from sipcore.call.picker import Picker
from sipcore.policy.attempt import ExtensionTarget, Permit, Source

if TYPE_CHECKING:
    from sipcore.call.call import Call


def is_recorded(call: "Call", permit: Permit, leg: CalleeLeg | Picker) -> bool:
    """Say whether the caller's extension or the one that answered is to be recorded: be it the
    one that was called, one that it was forwarded to, or one that has picked it up."""
    if permit.is_recorded:
        return True
    party = leg.party
    if isinstance(party, ExtensionTarget):
        return _asks(call, party.customer, party.number)
    if isinstance(party, Source) and party.kind == "extension":
        return _asks(call, party.customer, party.id)
    return False


def _asks(call: "Call", customer: str, number: str) -> bool:
    extension = call.book.extension(customer, number)
    return extension is not None and extension.is_recorded


async def keep_recording(call: "Call") -> None:
    """Wait for the recording to be finished, a moment at most."""
    if call.given is None:
        call.draft.hang_up()
    if (recorded := await call.media.recorded()) is not None:
        call.draft.keep(recorded)
