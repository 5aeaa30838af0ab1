"""After a crash: calls that the journal knows as answered and never ended get their one CDR, and
what a media worker still carries for nobody is closed. Recordings are finished and linked."""

import asyncio
from collections.abc import Container, Sequence

from msgspec.structs import replace

from sipcore.call.desk import Journal
from sipcore.cdr.entry import Ended
from sipcore.cdr.record import Cdr
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
    recorded: list[Cdr] = []
    for one in left.open:
        proof_at = max(one.proof_at, heard_at.get(one.answered.cdr.id, 0.0))
        cdr = close_interrupted(Interrupted(one.answered, proof_at))
        _log.warning("call=%s was up when the node died: ended at its last sign of life", cdr.id)
        if cdr.recording is None:
            journal.append(Ended(cdr))
        else:
            recorded.append(cdr)
            media.expect_recording(cdr.id)
    if left.torn:
        _log.warning("journal: %d torn lines", left.torn)
    await journal.sync()
    for call_id in heard_at:
        await media.end_orphan(call_id)
    for cdr in await _with_recordings(recorded, media, heard_at):
        journal.append(Ended(cdr))
    await journal.sync()


async def _with_recordings(
    cdrs: Sequence[Cdr], media: MediaPool, carried: Container[str]
) -> list[Cdr]:
    """Return records with what became of their recordings: finished by a worker, or salvaged."""
    found = await asyncio.gather(
        *(media.recorded(cdr.id, cdr.recording or "", cdr.id in carried) for cdr in cdrs)
    )
    return [
        replace(cdr, recording_sha256=one.sha256 or None, recording_degraded=one.is_degraded)
        for cdr, one in zip(cdrs, found, strict=True)
    ]
