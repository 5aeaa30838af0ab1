"""Draft: the CDR of a call in progress, filled in as the columns become known."""

from datetime import UTC, datetime

from msgspec.structs import replace

from sipcore.call.ending import Ending
from sipcore.cdr.record import Cdr
from sipcore.clock import Clock
from sipcore.media.control import Recorded
from sipcore.media.session import LegStatistics
from sipcore.message.address import name_of
from sipcore.policy.attempt import Attempt, CarrierTarget, Permit, Refuse, Target, TrunkTarget


class Draft:
    """One record. Talk time is measured on the monotonic clock."""

    __slots__ = ("_answered_on", "_clock", "_over", "_recorded", "record", "setup_on")

    def __init__(self, clock: Clock, record_id: str, call_id: str, node: str) -> None:
        self._clock = clock
        self.record = Cdr(
            id=record_id,
            call_id=name_of(call_id),
            node=node,
            direction="internal",
            tries=0,
            setup_at=clock.wall_s(),
        )
        self.setup_on = clock.monotonic()
        self._answered_on = 0.0
        self._over: tuple[float, float] | None = None  # by both clocks
        self._recorded: Recorded | None = None  # the recording is whole, or not

    @property
    def id(self) -> str:
        return self.record.id

    def begin(self, attempt: Attempt) -> None:
        """Take who calls, and what was dialled."""
        record, source = self.record, attempt.source
        record.callee_dialled = attempt.dialled or None
        if source.kind == "trunk":
            record.trunk = source.id
        elif source.kind == "carrier":
            record.carrier = source.id

    def learn(self, verdict: Permit | Refuse) -> None:
        """Take what a decision says of the attempt."""
        record = self.record
        record.direction = verdict.direction
        record.customer, record.account = verdict.customer or None, verdict.account or None
        record.caller_asserted = verdict.caller_asserted or None
        record.caller_shown = verdict.caller_shown or None
        record.callee_routed = verdict.callee_routed or None
        record.device = verdict.device or None

    def try_target(self, target: Target) -> None:
        """Note that a target is rung."""
        record = self.record
        record.tries = (record.tries or 0) + 1
        if isinstance(target, CarrierTarget):
            record.carrier = target.id
        elif isinstance(target, TrunkTarget):
            record.trunk = target.id

    def ring(self) -> None:
        """Note the first sign that the callee rings."""
        if self.record.ringing_at is None:
            self.record.ringing_at = self._clock.wall_s()

    def answer(self, is_recorded: bool = False) -> Cdr:
        """Note the answer; return what the journal must hold before the caller hears of it."""
        record = self.record
        record.answered_at = answered_at = self._clock.wall_s()
        record.sip_status = 200
        self._answered_on = self._clock.monotonic()
        if is_recorded:
            day = datetime.fromtimestamp(answered_at, UTC).strftime("%Y/%m/%d")
            record.recording = f"{day}/{self.id}.wav"
        return replace(record)

    def unanswer(self) -> None:
        """The caller never heard of the answer: it gave up, or the disk did."""
        self.record.answered_at = self.record.recording = None

    def hang_up(self) -> None:
        """Note that the talk is over, for a record that still waits for something."""
        if self._over is None:
            self._over = self._clock.wall_s(), self._clock.monotonic()

    def so_far(self, end: Ending | None = None) -> Cdr:
        """Return the record as it stands, for the journal; `end` where it is over already."""
        record = replace(self.record)
        if end is not None:
            self._end(record, end)
        return record

    def keep(self, recorded: Recorded) -> None:
        """Take what became of the recording."""
        self._recorded = recorded

    def finish(self, end: Ending, media: dict[str, LegStatistics]) -> Cdr:
        """Return the whole record."""
        record = replace(self.record)
        self._end(record, end)
        if (a := media.get("a")) is not None:
            record.a_codec, record.a_packets, record.a_lost = a.codec, a.packets, a.lost
            record.a_jitter_ms, record.a_mos = a.jitter_ms, a.mos
        if (b := media.get("b")) is not None:
            record.b_codec, record.b_packets, record.b_lost = b.codec, b.packets, b.lost
            record.b_jitter_ms, record.b_mos = b.jitter_ms, b.mos
        return record

    def _end(self, record: Cdr, end: Ending) -> None:
        late_s = end.proof_age_s or 0.0
        ended_at, ended_on = self._over or (self._clock.wall_s(), self._clock.monotonic())
        record.ended_at = ended_at - late_s
        if record.answered_at is not None:
            record.talked_s = max(0.0, ended_on - self._answered_on - late_s)
        record.ended_by = end.by
        record.sip_status, record.q850_cause = end.status, end.q850
        record.rule, record.reason = end.rule or None, name_of(end.reason) or None
        record.inferred_end = end.proof_age_s is not None
        recorded = self._recorded
        if recorded is not None:
            record.recording_sha256 = recorded.sha256 or None
        if record.recording is not None:  # as long as nobody says that it is whole
            record.recording_degraded = recorded is None or recorded.is_degraded
