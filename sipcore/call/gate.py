"""The gate: which messages of a batch are read at all. First the guard, then, while the node is
busy, a share of what is new gets its 503 from a glance, unread.

Never refused here: responses to us, repeats of what is in work, emergency calls; and of known
sources and connections ACK, CANCEL, what has a To tag, and whatever a glance does not understand.
Of these a stranger's datagrams are read as far as his share goes, or nothing would stop a flood.
"""

import re
import zlib
from collections.abc import Callable

from sipcore.call.admission import KNOWN, LISTED, Admission
from sipcore.endpoint import Batch, Endpoint
from sipcore.message.flow import Flow
from sipcore.message.glance import Glance, glance, refusal
from sipcore.policy.routing import EMERGENCY
from sipcore.transport.buckets import TokenBucket
from sipcore.transport.guard import Guard

TURN_S = 8.0  # one Call-ID has the same luck for so long: repeats, and the request with credentials
ACKS_S = 40.0  # for so long ACKs of refusals may come
LEAST_RETRY_S, MORE_RETRY_S = 4, 12
AGAIN_S = 0.5  # what is no plain request has another chance when it is repeated
EMERGENCIES_PER_S = 200.0  # of strangers who prove nothing: beyond it no such calls are made
_NONCE = re.compile(rb'nonce="([0-9a-f]{1,64})"')
_WEIGHTS = {"stranger": 1.0, "known": KNOWN, "listed": LISTED}


class Gate:
    """One per node. `mark`: of the tags written here; `is_listed`: tells carriers and trunks;
    `sent_nonce`: whether we sent a nonce to an address; `has_answered`: a REGISTER, of late."""

    def __init__(
        self,
        endpoint: Endpoint,
        guard: Guard,
        mark: str,
        is_listed: Callable[[str], bool],
        sent_nonce: Callable[[str, str], bool],
        has_answered: Callable[[Glance, Flow], bool],
    ) -> None:
        self._endpoint = endpoint
        self._guard = guard
        self._mark = f"{mark}-"
        self._is_listed = is_listed
        self._sent_nonce = sent_nonce
        self._has_answered = has_answered
        self._emergencies = TokenBucket(EMERGENCIES_PER_S, EMERGENCIES_PER_S)
        self._seed = zlib.crc32(mark.encode())
        self._refused_at = -ACKS_S
        self.admission = Admission()
        self.refused = dict.fromkeys(_WEIGHTS, 0)

    def sift(self, batch: Batch) -> Batch:
        """Return what is to be read."""
        now = self._endpoint.now
        batch = self._guard.sift(batch, now)
        if self.admission.is_calm and now - self._refused_at > ACKS_S:
            return batch
        return [item for item in batch if self._admits(*item, now)]

    def _admits(self, data: bytes, flow: Flow, now: float) -> bool:
        if data.startswith(b"ACK ") and f";tag={self._mark}".encode() in data:
            return False  # of a refusal: it needs nothing
        if self.admission.is_calm:
            return True
        seen = glance(data)
        if seen is None:
            return self._is_expected(data, flow, now)
        if self._endpoint.has(seen.key) or self._has_answered(seen, flow):
            return True
        who = self._who(seen, flow, now)
        is_stranger = who == "stranger"
        if seen.calls_any(EMERGENCY) and not (is_stranger and not self._emergencies.take(now)):
            return True
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
        is_known = self._guard.is_trusted(flow.remote_address, now) or self._is_signed(seen, flow)
        return "known" if is_known else "stranger"

    def _is_signed(self, seen: Glance, flow: Flow) -> bool:
        """Tell credentials for a nonce of ours from what anybody can write."""
        if not seen.is_signed:
            return False
        rows = (seen.fields.get(b"authorization"), seen.fields.get(b"proxy-authorization"))
        nonces = (_NONCE.search(row) for row in rows if row is not None)
        address = flow.remote_address
        return any(one is not None and self._sent_nonce(one[1].decode(), address) for one in nonces)

    def _is_expected(self, data: bytes, flow: Flow, now: float) -> bool:
        """Judge what is no plain request for something new: whoever is known may go on with what
        is in work, and say things in his own way."""
        if flow.connection or self._guard.is_trusted(flow.remote_address, now):
            return True
        if data.startswith(b"SIP/2.0 ") and self._endpoint.is_reply(data):
            return True
        luck = zlib.crc32(data, self._seed ^ int(now / AGAIN_S))
        if self.admission.admits(luck / 2**32, _WEIGHTS["stranger"]):
            return True
        self.refused["stranger"] += 1
        return False
