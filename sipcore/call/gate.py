"""The gate: which messages of a batch are read at all. First the guard, then, while the node is
busy, a share of what is new gets its 503 from a glance, unread.

Never refused here: responses, ACK, CANCEL, what has a To tag, repeats of what is in work, emergency
calls, and whatever a glance does not understand.
"""

import zlib
from collections.abc import Callable

from sipcore.call.admission import KNOWN, LISTED, Admission
from sipcore.endpoint import Batch, Endpoint
from sipcore.message.flow import Flow
from sipcore.message.glance import Glance, glance, refusal
from sipcore.policy.routing import EMERGENCY
from sipcore.transport.guard import Guard

TURN_S = 8.0  # one Call-ID has the same luck for so long: repeats, and the request with credentials
ACKS_S = 40.0  # for so long ACKs of refusals may come
LEAST_RETRY_S, MORE_RETRY_S = 4, 12
_WEIGHTS = {"stranger": 1.0, "known": KNOWN, "listed": LISTED}


class Gate:
    """One per node. `mark`: of the tags written here; `is_listed`: tells carriers and trunks."""

    def __init__(
        self,
        endpoint: Endpoint,
        guard: Guard,
        now: Callable[[], float],
        mark: str,
        is_listed: Callable[[str], bool],
    ) -> None:
        self._endpoint = endpoint
        self._guard = guard
        self._now = now
        self._mark = f"{mark}-"
        self._is_listed = is_listed
        self._seed = zlib.crc32(mark.encode())
        self._refused_at = -ACKS_S
        self.admission = Admission()
        self.refused = dict.fromkeys(_WEIGHTS, 0)

    def sift(self, batch: Batch) -> Batch:
        """Return what is to be read."""
        now = self._now()
        batch = self._guard.sift(batch, now)
        if self.admission.is_calm and now - self._refused_at > ACKS_S:
            return batch
        return [item for item in batch if self._admits(*item, now)]

    def _admits(self, data: bytes, flow: Flow, now: float) -> bool:
        if data.startswith(b"ACK "):
            return f";tag={self._mark}".encode() not in data  # of a refusal: it needs nothing
        if self.admission.is_calm:
            return True
        seen = glance(data)
        if seen is None or seen.calls_any(EMERGENCY) or self._endpoint.has(seen.key):
            return True
        who = self._who(seen, flow, now)
        luck = zlib.crc32(seen.call_id, self._seed ^ int(now / TURN_S))
        if self.admission.admits(luck / 2**32, _WEIGHTS[who]):
            return True
        tag = f"{self._mark}{zlib.crc32(seen.call_id):08x}"
        retry_after_s = LEAST_RETRY_S + luck % MORE_RETRY_S
        self._endpoint.send_as_it_is(refusal(seen, flow, tag, retry_after_s), flow, seen.method)
        self._refused_at = now
        self.refused[who] += 1
        return False

    def _who(self, seen: Glance, flow: Flow, now: float) -> str:
        if self._is_listed(flow.remote_address):
            return "listed"
        is_known = seen.is_signed or self._guard.is_trusted(flow.remote_address, now)
        return "known" if is_known else "stranger"
