"""After a crash: calls that the journal knows as answered and never ended get a BYE on both legs,
their media closed, their recording linked and their one CDR. New calls need not wait for it."""

import asyncio

from msgspec.structs import replace

from sipcore.call.desk import Desk
from sipcore.call.ending import Ending
from sipcore.call.keep import dialog_of
from sipcore.call.leg import Leg
from sipcore.cdr.entry import Ended, LegLine
from sipcore.cdr.record import Cdr
from sipcore.cdr.recovery import Interrupted, Recovery, close_interrupted
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Reply, Told
from sipcore.endpoint import Endpoint
from sipcore.log import logger
from sipcore.message.flow import Hop
from sipcore.message.uri import Uri

CALLS_PER_S = 200  # of BYEs on both legs; the node's own calls go on beside
BYE_WITHIN_S = 3600.0  # of the last sign of life: who was in the call has given up since
RESOLVE_S = 2.0
TOLD = Ending("node", 200, 41, "node restarted")  # what the peers hear of it

_log = logger(__name__)


async def close_left_behind(left: Recovery, desk: Desk) -> None:
    """End what a dead process left; a worker that still hears a call proves its life till now.

    Each call's record is written after its BYEs, so that a second crash on the way does not leave
    a call without both: it is ended again, and its peers answer 481.
    """
    if left.torn:
        _log.warning("journal: %d torn lines", left.torn)
    heard_at: dict[str, float] = {}
    for leg in await desk.media.survey():
        if leg.call not in desk.calls:
            age_s = leg.last_packet_age_s
            proof_at = desk.clock.wall_s() - age_s if age_s >= 0 else 0.0
            heard_at[leg.call] = max(proof_at, heard_at.get(leg.call, 0.0))
    began = desk.loop.time()
    async with asyncio.TaskGroup() as group:
        for number, one in enumerate(left.open):
            await asyncio.sleep(began + number / CALLS_PER_S - desk.loop.time())
            proof_at = max(one.proof_at, heard_at.get(one.answered.media_id, 0.0))
            group.create_task(_end(Interrupted(one.answered, proof_at), desk))
    ours = {one.answered.media_id for one in left.open}
    for call_id in (
        heard_at.keys() - ours
    ):  # calls that were never answered, or whose record is there
        await desk.media.end_orphan(call_id)


async def _end(call: Interrupted, desk: Desk) -> None:
    """End one call. A bug costs that call; the next start finds it again."""
    try:
        await _close(call, desk)
    except Exception:
        _log.exception("a bug met call=%s, which was left behind", call.answered.cdr.id)


async def _close(call: Interrupted, desk: Desk) -> None:
    """Say BYE to both sides, close the media, write the record."""
    id_ = call.answered.cdr.id
    if desk.clock.wall_s() - call.proof_at < BYE_WITHIN_S:
        for line in call.answered.legs:
            await _say_bye(id_, line, desk.endpoint)
    if call.answered.cdr.recording is not None:
        desk.media.expect_recording(id_)
    streams = await desk.media.end_orphan(call.answered.media_id)
    now = desk.clock.wall_s()
    heard = [now - one.last_packet_age_s for one in streams if one.last_packet_age_s >= 0]
    cdr = close_interrupted(Interrupted(call.answered, max([call.proof_at, *heard])))
    _log.warning("call=%s was up when the node died: ended at its last sign of life", id_)
    if cdr.recording is not None:
        cdr = await _with_recording(cdr, cdr.recording, desk, is_carried=bool(streams))
    desk.journal.append(Ended(cdr))


async def _with_recording(cdr: Cdr, name: str, desk: Desk, is_carried: bool) -> Cdr:
    """Return a record with what became of its recording: finished by a worker, or salvaged."""
    found = await desk.media.recorded(cdr.id, name, is_carried)
    digest = found.sha256 or None
    return replace(cdr, recording_sha256=digest, recording_degraded=found.is_degraded)


async def _say_bye(call_id: str, line: LegLine, endpoint: Endpoint) -> None:
    try:
        leg = _LeftLeg(endpoint, call_id, line)
        await leg.find()
        leg.bye(TOLD.header)
    except Exception:  # the record must be written all the same
        _log.exception("call=%s leg=%s cannot be told of its end", call_id, line.side)


class _LeftLeg(Leg):
    """A leg of which the journal knows the dialog: all that it does is say BYE."""

    def __init__(self, endpoint: Endpoint, call_id: str, line: LegLine) -> None:
        super().__init__(endpoint, _nobody, "", line.flow[3])
        self.side = line.side
        self.dialog = dialog_of(line)
        self._call_id = call_id

    async def find(self) -> None:
        """Look up where the BYE goes; a name that leads nowhere does not matter, see _hop."""
        assert self.dialog is not None
        try:
            async with asyncio.timeout(RESOLVE_S):
                await self.endpoint.hop_to(Uri.parse(self.dialog.next_hop()))
        except TimeoutError:
            return

    def feed(self, event: Told) -> None:
        """Say so when nobody answers: nothing more can be done."""
        if isinstance(event, Reply) and event.is_local:
            _log.warning("call=%s leg=%s did not answer our BYE", self._call_id, self.side)

    def _hop(self, dialog: Dialog) -> Hop:
        """A connection died with its process; where the peer listens, a new one can be opened."""
        if dialog.flow.is_reliable and not dialog.route_set:
            hop = self.endpoint.hop_at_once(Uri.parse(dialog.peer_contact))
            return hop or self.endpoint.hop_by(dialog.flow)
        return super()._hop(dialog)


def _nobody(leg: Leg, event: Told) -> None:
    """Take what belongs to no call."""
