"""After a crash: calls that the journal knows as answered and never ended get a BYE on both legs,
their media closed, their recording linked and their one CDR. New calls need not wait for it."""

import asyncio

from msgspec.structs import replace

from sipcore.call.desk import Desk
from sipcore.call.ending import Ending, hung_up
from sipcore.call.keep import dialog_of
from sipcore.call.leg import Leg
from sipcore.cdr.entry import Ended, LegLine
from sipcore.cdr.record import Cdr
from sipcore.cdr.recovery import Interrupted, Recovery, close_interrupted
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Reply, Told, Within
from sipcore.log import logger
from sipcore.message.flow import Hop
from sipcore.message.message import Request
from sipcore.message.signer import Signer
from sipcore.message.uri import Uri

CALLS_PER_S = 200  # of BYEs on both legs; the node's own calls go on beside
BYE_WITHIN_S = 3600.0  # of the last sign of life: who was in the call has given up since
RESOLVE_S = 2.0
AT_ONCE = 100  # dialogs made again before others get their turn
TOLD = Ending("node", 200, 41, "node restarted")  # what the peers hear of it

_log = logger(__name__)


async def close_left_behind(left: Recovery, desk: Desk, calls_per_s: float = CALLS_PER_S) -> None:
    """End what a dead process left; a worker that still hears a call proves its life till now.

    Each call's record is written after its BYEs, so that a second crash on the way does not leave
    a call without both: it is ended again, and its peers answer 481. Who hangs up before its turn
    has come is answered, and ends its call at once.
    """
    if left.torn:
        _log.warning("journal: %d torn lines", left.torn)
    calls = []
    for number, one in enumerate(left.open, 1):
        calls.append(_LeftCall(one, desk))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    heard_at = await _survey(desk)
    async with asyncio.TaskGroup() as group:
        began = desk.loop.time()
        for call in calls:
            call.follow(group, heard_at.get(call.media_id, 0.0))
        for number, call in enumerate(calls):
            await asyncio.sleep(began + number / calls_per_s - desk.loop.time())
            call.end_soon()
    ours = {one.answered.media_id for one in left.open}
    for call_id in (
        heard_at.keys() - ours
    ):  # calls that were never answered, or whose record is there
        await desk.media.end_orphan(call_id)


async def _survey(desk: Desk) -> dict[str, float]:
    """Return when the workers heard the calls last that are of no process now; 0: never."""
    heard_at: dict[str, float] = {}
    for leg in await desk.media.survey():
        if leg.call not in desk.calls:
            age_s = leg.last_packet_age_s
            proof_at = desk.clock.wall_s() - age_s if age_s >= 0 else 0.0
            heard_at[leg.call] = max(proof_at, heard_at.get(leg.call, 0.0))
    return heard_at


class _LeftCall:
    """A call that a dead process left, until its record is written."""

    def __init__(self, call: Interrupted, desk: Desk) -> None:
        self._call = call
        self._desk = desk
        self._group: asyncio.TaskGroup | None = None
        self._is_ending = False
        self._hung_up: tuple[Ending, float] | None = None  # how, and when
        legs = (self._leg_of(line) for line in call.answered.legs)
        self._legs = [leg for leg in legs if leg is not None]

    @property
    def id(self) -> str:
        return self._call.answered.cdr.id

    @property
    def media_id(self) -> str:
        """The id under which workers know it."""
        return self._call.answered.media_id

    def follow(self, group: asyncio.TaskGroup, heard_at: float) -> None:
        """Be ended in a group of tasks from now on; it was heard last at `heard_at`."""
        self._group = group
        self._call = replace(self._call, proof_at=max(self._call.proof_at, heard_at))
        if self._hung_up is not None:
            self.end_soon()

    def end_soon(self) -> None:
        """End it, if nobody has begun to."""
        if self._group is not None and not self._is_ending:
            self._is_ending = True
            self._group.create_task(self._end())

    def hang_up(self, leg: "_LeftLeg", bye: Request) -> None:
        """A peer has hung up: that is how it ended, if nothing else has ended it."""
        if self._is_ending or self._hung_up is not None:
            return
        by = hung_up("caller" if leg.side == "a" else "callee", bye)
        self._hung_up = by, self._desk.clock.wall_s()
        self.end_soon()

    def _leg_of(self, line: LegLine) -> "_LeftLeg | None":
        try:
            return _LeftLeg(self, self._desk, line)
        except Exception:  # the record must be written all the same
            _log.exception("call=%s leg=%s cannot be told of its end", self.id, line.side)
            return None

    async def _end(self) -> None:
        """End it. A bug costs this call; the next start finds it again."""
        try:
            await self._close()
        except Exception:
            _log.exception("a bug met call=%s, which was left behind", self.id)

    async def _close(self) -> None:
        """Say BYE to both sides, close the media, write the record."""
        desk, answered = self._desk, self._call.answered
        is_late = desk.clock.wall_s() - self._call.proof_at >= BYE_WITHIN_S
        for leg in self._legs:
            await leg.say_bye(is_silent=is_late and self._hung_up is None)
        if answered.cdr.recording is not None:
            desk.media.expect_recording(self.id)
        streams = await desk.media.end_orphan(self.media_id)
        now = desk.clock.wall_s()
        heard = [now - one.last_packet_age_s for one in streams if one.last_packet_age_s >= 0]
        cdr = self._record(max([self._call.proof_at, *heard]))
        if cdr.recording is not None:
            cdr = await _with_recording(cdr, cdr.recording, desk, is_carried=bool(streams))
        desk.journal.append(Ended(cdr))

    def _record(self, proof_at: float) -> Cdr:
        """Return its record: ended by who has hung up, else at its last sign of life."""
        answered = self._call.answered
        if self._hung_up is None or answered.cdr.ended_at is not None:
            _log.warning(
                "call=%s was up when the node died: ended at its last sign of life", self.id
            )
            return close_interrupted(Interrupted(answered, proof_at))
        end, at = self._hung_up
        cdr = close_interrupted(Interrupted(answered, max(at, self._call.proof_at)), end.reason)
        _log.info("call=%s was up when the node died, and ended by its %s", self.id, end.by)
        return replace(cdr, ended_by=end.by, q850_cause=end.q850, inferred_end=False)


async def _with_recording(cdr: Cdr, name: str, desk: Desk, is_carried: bool) -> Cdr:
    """Return a record with what became of its recording: finished by a worker, or salvaged."""
    found = await desk.media.recorded(cdr.id, name, is_carried)
    digest = found.sha256 or None
    return replace(cdr, recording_sha256=digest, recording_degraded=found.is_degraded)


class _LeftLeg(Leg):
    """A leg of which the journal knows the dialog: it says BYE, or hears one."""

    def __init__(self, call: _LeftCall, desk: Desk, line: LegLine) -> None:
        super().__init__(desk.endpoint, _nobody, "", line.flow[3])
        self.side = line.side
        self.dialog = dialog_of(line)
        self.signer = _signer_of(desk, line.peer)
        self._call: _LeftCall | None = call
        self._call_id = call.id
        desk.endpoint.restore(self.dialog, self)

    async def say_bye(self, *, is_silent: bool) -> None:
        """End the dialog. `is_silent`: whoever was in it has given up long ago."""
        self._call = None
        if self.is_over:
            return
        try:
            if is_silent:
                self.close()
                return
            await self._find()
            self.bye(TOLD.header)
        except Exception:  # the record must be written all the same
            _log.exception("call=%s leg=%s cannot be told of its end", self._call_id, self.side)

    async def _find(self) -> None:
        """Look up where the BYE goes; a name that leads nowhere does not matter, see _hop."""
        assert self.dialog is not None
        try:
            async with asyncio.timeout(RESOLVE_S):
                await self.endpoint.hop_to(Uri.parse(self.dialog.next_hop()))
        except TimeoutError:
            return

    def feed(self, event: Told) -> None:
        """Answer a peer that hangs up; sign our BYE where that is asked for. Say so when nobody
        answers it: nothing more can be done."""
        if isinstance(event, Within):
            is_bye = event.request.method == "BYE"
            self.endpoint.respond(event.transaction, 200 if is_bye else 481)
            if is_bye:
                call, self._call = self._call, None
                self.close()
                if call is not None:
                    call.hang_up(self, event.request)
        elif isinstance(event, Reply) and not self._signs_again(event) and event.is_local:
            _log.warning("call=%s leg=%s did not answer our BYE", self._call_id, self.side)

    def _hop(self, dialog: Dialog) -> Hop:
        """A connection died with its process; where the peer listens, a new one can be opened: to
        where ours led, else to its Contact."""
        flow = dialog.flow
        if flow.is_reliable and not dialog.route_set:
            hop = None if flow.domain else self.endpoint.hop_at_once(Uri.parse(dialog.peer_contact))
            return hop or self.endpoint.hop_by(flow)
        return super()._hop(dialog)


def _signer_of(desk: Desk, peer: str) -> Signer | None:
    """Return who signs our requests to "carrier:ID" or "trunk:ID"."""
    kind, _, id_ = peer.partition(":")
    book = desk.book()
    found = book.carriers.get(id_) if kind == "carrier" else book.trunks.get(id_)
    return None if found is None else desk.trunks.signer(found)


def _nobody(leg: Leg, event: Told) -> None:
    """Take what belongs to no call."""
