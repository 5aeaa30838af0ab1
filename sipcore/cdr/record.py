"""Cdr: one attempt to reach a callee, answered or not (service.md section 7).

Knows the columns and their order; journal.py how they are kept, export.py how they look outside.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

Direction = Literal["internal", "outbound", "inbound"]
EndedBy = Literal["caller", "callee", "node"]


class Cdr(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The record of one attempt. The order of the fields is that of the columns in every export.

    Its draft fills it in while the call lasts (call/draft.py); nobody else changes one.

    None: not reached, or not known. `_at` are seconds since 1970-01-01 UTC, `_s` seconds measured
    on the monotonic clock, `amount` yuan. What is known from the first moment must be given.
    """

    id: str
    call_id: str
    parent_id: str | None = None
    node: str
    customer: str | None = None
    account: str | None = None
    direction: Direction
    caller_asserted: str | None = None
    caller_shown: str | None = None
    callee_dialled: str | None = None
    callee_routed: str | None = None
    device: str | None = None
    trunk: str | None = None
    carrier: str | None = None
    tries: int | None = None
    setup_at: float
    ringing_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    talked_s: float | None = None
    billed_s: int | None = None
    ended_by: EndedBy | None = None
    sip_status: int | None = None
    q850_cause: int | None = None
    rule: str | None = None
    reason: str | None = None
    a_codec: str | None = None
    a_packets: int | None = None
    a_lost: int | None = None
    a_jitter_ms: float | None = None
    a_mos: float | None = None
    b_codec: str | None = None
    b_packets: int | None = None
    b_lost: int | None = None
    b_jitter_ms: float | None = None
    b_mos: float | None = None
    recording: str | None = None
    recording_sha256: str | None = None
    recording_degraded: bool | None = None
    plan_minutes: int | None = None
    paid_minutes: int | None = None
    amount: Decimal | None = None
    inferred_end: bool = False


COLUMNS: tuple[str, ...] = Cdr.__struct_fields__
