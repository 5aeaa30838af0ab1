"""After a crash: calls that the journal knows as answered and never ended get their one CDR, and
what a media worker still carries for nobody is closed."""

from sipcore.call.desk import Journal
from sipcore.cdr.entry import Ended
from sipcore.cdr.recovery import Interrupted, Recovery, close_interrupted
from sipcore.clock import Clock
from sipcore.log import logger
from sipcore.media.pool import MediaPool

_log = logger(__name__)


async def close_left_behind(
    left: Recovery, journal: Journal, media: MediaPool, clock: Clock
) -> None:
    """End what a dead process left; a worker that still hears a call proves its life till now."""
    now = clock.wall_s()
    heard_at: dict[str, float] = {}
    for leg in await media.survey():
        age_s = leg.last_packet_age_s
        proof_at = now - age_s if age_s >= 0 else 0.0
        heard_at[leg.call] = max(proof_at, heard_at.get(leg.call, 0.0))
    for one in left.open:
        cdr = one.answered.cdr
        proof_at = max(one.proof_at, heard_at.get(cdr.id, 0.0))
        journal.append(Ended(close_interrupted(Interrupted(one.answered, proof_at))))
        _log.warning("call=%s was up when the node died: ended at its last sign of life", cdr.id)
    if left.torn:
        _log.warning("journal: %d torn lines", left.torn)
    await journal.sync()
    for call_id in heard_at:
        await media.end_orphan(call_id)
