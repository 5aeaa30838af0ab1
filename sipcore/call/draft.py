"""Draft: the CDR of a call in progress; it ends as a frozen Cdr."""

from datetime import UTC, datetime

from msgspec.structs import replace

from sipcore.call.ending import Ending
from sipcore.cdr.record import Cdr, Direction
from sipcore.clock import Clock
from sipcore.media.control import Recorded
from sipcore.media.session import LegStatistics
from sipcore.message.address import name_of
from sipcore.policy.attempt import CarrierTarget, Permit, Refuse, Target, TrunkTarget


class Draft:
    """Fills the columns as they become known. Talk time is measured on the monotonic clock."""

    def __init__(self, clock: Clock, record_id: str, call_id: str, node: str) -> None:
        self._clock = clock
        self.id = record_id
        self.parent_id: str | None = None  # of the attempt that this one follows from
        self.call_id = call_id
        self.node = node
        self.direction: Direction = "internal"
        self.customer = self.account = self.caller_asserted = self.caller_shown = ""
        self.callee_dialled = self.callee_routed = self.device = self.trunk = self.carrier = ""
        self.tries = 0
        self.setup_at = clock.wall_s()
        self.setup_on = clock.monotonic()
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self.recording = ""  # its name, from the answer on
        self.recording_sha256 = ""
        self.is_degraded = True  # as long as nobody says that the recording is whole
        self._answered_on = 0.0
        self._over: tuple[float, float] | None = None  # by both clocks

    def learn(self, verdict: Permit | Refuse) -> None:
        """Take what a decision says of the attempt."""
        self.direction = verdict.direction
        self.customer, self.account = verdict.customer, verdict.account
        self.caller_asserted = verdict.caller_asserted
        self.caller_shown = verdict.caller_shown
        self.callee_routed = verdict.callee_routed
        self.device = verdict.device

    def try_target(self, target: Target) -> None:
        """Note that a target is rung."""
        self.tries += 1
        if isinstance(target, CarrierTarget):
            self.carrier = target.id
        elif isinstance(target, TrunkTarget):
            self.trunk = target.id

    def ring(self) -> None:
        """Note the first sign that the callee rings."""
        if self.ringing_at is None:
            self.ringing_at = self._clock.wall_s()

    def answer(self, is_recorded: bool = False) -> Cdr:
        """Note the answer; return what the journal must hold before the caller hears of it."""
        self.answered_at = self._clock.wall_s()
        self._answered_on = self._clock.monotonic()
        if is_recorded:
            day = datetime.fromtimestamp(self.answered_at, UTC).strftime("%Y/%m/%d")
            self.recording = f"{day}/{self.id}.wav"
        return self._cdr(None, {})

    def unanswer(self) -> None:
        """The caller never heard of the answer: it gave up, or the disk did."""
        self.answered_at = None
        self.recording = ""

    def hang_up(self) -> None:
        """Note that the talk is over, for a record that still waits for something."""
        if self._over is None:
            self._over = self._clock.wall_s(), self._clock.monotonic()

    def so_far(self, end: Ending | None = None) -> Cdr:
        """Return the record as it stands, for the journal; `end` where it is over already."""
        return self._cdr(end, {})

    def keep(self, recorded: Recorded) -> None:
        """Take what became of the recording."""
        self.recording_sha256, self.is_degraded = recorded.sha256, recorded.is_degraded

    def finish(self, end: Ending, media: dict[str, LegStatistics]) -> Cdr:
        """Return the whole record."""
        return self._cdr(end, media)

    def _cdr(self, end: Ending | None, media: dict[str, LegStatistics]) -> Cdr:
        so_far = Cdr(
            id=self.id,
            call_id=name_of(self.call_id),
            parent_id=self.parent_id,
            node=self.node,
            customer=self.customer or None,
            account=self.account or None,
            direction=self.direction,
            caller_asserted=self.caller_asserted or None,
            caller_shown=self.caller_shown or None,
            callee_dialled=self.callee_dialled or None,
            callee_routed=self.callee_routed or None,
            device=self.device or None,
            trunk=self.trunk or None,
            carrier=self.carrier or None,
            tries=self.tries,
            setup_at=self.setup_at,
            ringing_at=self.ringing_at,
            answered_at=self.answered_at,
            sip_status=200,
            recording=self.recording or None,
            recording_sha256=self.recording_sha256 or None,
        )
        return so_far if end is None else self._ended(so_far, end, media)

    def _ended(self, so_far: Cdr, end: Ending, media: dict[str, LegStatistics]) -> Cdr:
        a, b = media.get("a"), media.get("b")
        late_s = end.proof_age_s or 0.0
        ended_at, ended_on = self._over or (self._clock.wall_s(), self._clock.monotonic())
        is_answered = self.answered_at is not None
        return replace(
            so_far,
            ended_at=ended_at - late_s,
            talked_s=max(0.0, ended_on - self._answered_on - late_s) if is_answered else None,
            ended_by=end.by,
            sip_status=end.status,
            q850_cause=end.q850,
            rule=end.rule or None,
            reason=name_of(end.reason) or None,
            a_codec=a.codec if a else None,
            a_packets=a.packets if a else None,
            a_lost=a.lost if a else None,
            a_jitter_ms=a.jitter_ms if a else None,
            a_mos=a.mos if a else None,
            b_codec=b.codec if b else None,
            b_packets=b.packets if b else None,
            b_lost=b.lost if b else None,
            b_jitter_ms=b.jitter_ms if b else None,
            b_mos=b.mos if b else None,
            recording_degraded=self.is_degraded if self.recording else None,
            inferred_end=end.proof_age_s is not None,
        )
