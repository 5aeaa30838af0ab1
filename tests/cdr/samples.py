"""Records for tests of the journal and the export."""

from sipcore.cdr.record import Cdr

NOON = 1_795_348_800.0  # 2026-11-22 12:00:00 UTC


def answered_call(number: int, at: float = NOON) -> Cdr:
    """Return a call set up `at` and answered two seconds later, not yet ended."""
    return Cdr(
        id=f"{number:032x}",
        call_id=f"call-{number}@phone",
        node="node-1",
        direction="outbound",
        setup_at=at,
        answered_at=at + 2,
        sip_status=200,
    )
