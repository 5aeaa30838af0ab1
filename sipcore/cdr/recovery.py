"""What a dead process left behind: calls that were answered and, says the journal, never ended."""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from sipcore.cdr.entry import Alive, Answered, Ended, Moved, read_lines, segments
from sipcore.cdr.record import Cdr
from sipcore.errors import CannotStart


class Interrupted(Struct, frozen=True):
    """A call whose end nobody wrote down. `proof_at`: its last sign of life, UTC seconds."""

    answered: Answered
    proof_at: float


class Recovery(Struct, frozen=True):
    """`open`: in the order of their answers. `torn`: lines that could not be read."""

    open: tuple[Interrupted, ...] = ()
    torn: int = 0


NOTHING_LEFT = Recovery()


def recover(folder: Path) -> Recovery:
    """Read the newest segment: it begins with all that was open when it was begun.

    `folder` is DATA/journal; it need not exist. Raises CannotStart when it cannot be read.
    """
    answered: dict[str, Answered] = {}
    ended: set[str] = set()
    proofs: dict[str, float] = {}
    torn = 0
    try:
        newest = segments(folder)[-1:]
        for _, entry in (pair for _, file in newest for pair in read_lines(file)):
            match entry:
                case Answered(cdr):
                    answered[cdr.id] = entry
                case Moved() if entry.id in answered:
                    answered[entry.id] = _moved(answered[entry.id], entry)
                case Ended(cdr):
                    ended.add(cdr.id)
                case Alive():
                    proofs.update(entry.proofs)
                case None:
                    torn += 1
    except OSError as fault:
        raise CannotStart(f"the journal cannot be read: {fault}") from None
    still_open = (one for key, one in answered.items() if key not in ended)
    return Recovery(tuple(_interrupted(one, proofs) for one in still_open), torn)


def close_interrupted(call: Interrupted, reason: str = "node-died") -> Cdr:
    """Return the whole record of a call whose end nobody saw, ended at its last proof of life.

    Append it as Ended. Q.850 41: temporary failure.
    """
    cdr = call.answered.cdr
    if cdr.ended_at is not None:  # its part of the call was over before
        return cdr
    answered_at = cdr.setup_at if cdr.answered_at is None else cdr.answered_at
    return replace(
        cdr,
        ended_at=call.proof_at,
        talked_s=round(call.proof_at - answered_at, 6),
        ended_by="node",
        q850_cause=41,
        reason=reason,
        inferred_end=True,
    )


def _moved(answered: Answered, moved: Moved) -> Answered:
    """The latest line of a leg counts."""
    legs = (moved.leg if one.side == moved.leg.side else one for one in answered.legs)
    return replace(answered, legs=tuple(legs))


def _interrupted(answered: Answered, proofs: dict[str, float]) -> Interrupted:
    """A proof from before the answer (the wall clock was set back) counts as none."""
    at = answered.cdr.setup_at if answered.cdr.answered_at is None else answered.cdr.answered_at
    return Interrupted(answered, max(at, proofs.get(answered.cdr.id, at)))
