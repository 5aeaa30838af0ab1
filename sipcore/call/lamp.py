"""What of a call an extension's busy lamp shows: its state, its direction, who is there.

A call tells its changes to those who watch; for an extension that nobody watches that is a look-up.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from sipcore.call.caller import CallerLeg
from sipcore.call.leg import Party
from sipcore.message.notify import DialogState
from sipcore.policy.attempt import ExtensionTarget, Source

if TYPE_CHECKING:
    from sipcore.call.call import Call
    from sipcore.call.callee import CalleeLeg
    from sipcore.call.onward import Onward

Line = tuple[str, str]  # customer, extension

STATES = {"setup": "trying", "ringing": "early", "answered": "confirmed"}


class Watch(Protocol):
    """Who is told of a line's calls."""

    def see(self, call: "Call") -> None: ...


def show(call: "Call") -> None:
    """Tell that a call has changed."""
    watched = call.desk.watched
    if not watched:
        return
    for line in (*lines_of(call), *call.lines_beside):
        if (watch := watched.get(line)) is not None:
            watch.see(call)


def show_beside(call: "Call", onward: "Onward") -> None:
    """Tell that an attempt that follows from a call rings, or does so no more."""
    if onward.permit is not None:  # kept though nobody watches yet: he may before it is over
        rung = (line_of(target) for group in onward.permit.targets for target in group)
        known = lines_of(call) + call.lines_beside
        call.lines_beside += tuple(line for line in rung if line and line not in known)
        show(call)


def lines_of(call: "Call") -> tuple[Line, ...]:
    """Return the extensions that a call concerns: the caller's, then all that may ring. They are
    looked for when somebody wants to know."""
    if call.lines is None:
        groups = call.permit.targets if call.permit is not None else ()
        rung = [line_of(target) for group in groups for target in group]
        mine = line_of(call.attempt.source)
        call.lines = tuple(line for line in (mine, *rung) if line is not None)
    return call.lines


def move(call: "Call") -> None:
    """Tell that others are in a call than before."""
    joined = (line_of(leg.party) for leg in call.sides.values())
    call.lines = tuple(dict.fromkeys([*lines_of(call), *(line for line in joined if line)]))
    show(call)


def dialog_of(call: "Call", line: Line) -> DialogState | None:
    """Return what an extension's lamp shows of a call; None where it shows nothing.

    The other party is named where it is an extension of the same customer.
    """
    if call.is_over:
        return None
    if call.beside and (told := _beside(call, line)) is not None:
        return told
    if line not in lines_of(call):
        return None
    if call.is_answered:
        return _in_talk(call, line)
    state, caller = STATES[call.state], line_of(call.attempt.source)
    if line == caller:
        rung = lines_of(call)[1:]
        return _told(call, line, (state, "initiator"), rung[0] if len(rung) == 1 else None)
    if state == "trying":
        return None
    ids = _ids_of(call.ringing, line)
    return replace(_told(call, line, (state, "recipient"), caller), ids=ids)


def _beside(call: "Call", line: Line) -> DialogState | None:
    """Return what is shown where an attempt that follows from a call rings: a forward of it shows
    who calls, a transfer who transfers."""
    for onward in call.beside:
        if (ids := _ids_of(onward.ringing, line)) is not None:
            caller = line_of((call if onward.a is not None else onward).attempt.source)
            return replace(_told(call, line, (STATES["ringing"], "recipient"), caller), ids=ids)
    return None


def _ids_of(ringing: Iterable["CalleeLeg"], line: Line) -> tuple[str, str, str] | None:
    """Return what names the dialog that rings at an extension, for who wants to pick it up.

    Of answered calls nothing is named: a lamp is no leave to take a call from somebody.
    """
    for leg in ringing:
        if not leg.is_over and line_of(leg.party) == line and leg.transaction.dialogs:
            dialog = leg.transaction.dialogs[0]
            return dialog.call_id, dialog.remote_tag, dialog.local_tag
    return None


def _in_talk(call: "Call", line: Line) -> DialogState | None:
    for leg in call.sides.values():
        if line_of(leg.party) == line:
            direction = "initiator" if isinstance(leg, CallerLeg) else "recipient"
            others = [line_of(one.party) for one in call.sides.values() if one is not leg]
            return _told(call, line, ("confirmed", direction), others[0] if others else None)
    return None  # another one has answered, or was given the call


def _told(
    call: "Call", line: Line, state_and_direction: tuple[str, str], other: Line | None
) -> DialogState:
    if other is None or other[0] != line[0] or _is_hidden(call, other):
        return DialogState(call.id, *state_and_direction)
    extension = call.book.extension(*other)
    uri = aor_of(call.book.customers[other[0]].domain, other[1])
    return DialogState(call.id, *state_and_direction, uri, extension.name if extension else "")


def _is_hidden(call: "Call", other: Line) -> bool:
    """Tell whether it is a caller that wants its number hidden (RFC 3323)."""
    return call.attempt.is_private and other == line_of(call.attempt.source)


def line_of(party: Party) -> Line | None:
    """Return the extension that a party of a call is."""
    if isinstance(party, ExtensionTarget):
        return party.customer, party.number
    if isinstance(party, Source) and party.kind == "extension":
        return party.customer, party.id
    return None


def aor_of(domain: str, number: str) -> str:
    """Return the address of record of an extension."""
    return f"sip:{number}@{domain}"
