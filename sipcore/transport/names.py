"""What the DNS said, kept as long as it allows: answers, the lack of them (RFC 2308), and old ones
while no server answers (RFC 8767). One look-up for all who ask the same. Who is asked is handed in.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from sipcore.errors import SipcoreError
from sipcore.log import logger
from sipcore.transport.order import Question, Records

LEAST_S = 5.0  # records that ask not to be kept are kept so long
MOST_S = 86_400.0
MOST_EMPTY_S = 900.0  # RFC 2308 5 allows hours; a name that begins to exist is to be found
STALE_S = 86_400.0  # RFC 8767 5
STALE_WAIT_S = 0.4  # for a fresh answer, where an old one is there
STALE_RETRY_S = 30.0
RETRY_S = 5.0  # where there is none; doubled with each failure that follows
MOST_RETRY_S = 60.0
MOST_NAMES = 10_000
MOST_ASKED = 200  # at once

_log = logger(__name__)


class Unanswered(SipcoreError):
    """No name server gave an answer: time-out, refusal, failure of its own."""


class Answer(Struct, frozen=True):
    """Records and for how long they may be kept; no records: the name has none of that kind."""

    records: Records
    ttl_s: float


LookUp = Callable[[Question], Awaitable[Answer]]  # raises Unanswered


class _Entry(Struct):
    """`records` hold until `until`; after that until `stale_until`, if nobody answers."""

    records: Records
    until: float
    stale_until: float = 0.0
    retry_s: float = 0.0  # not 0: the last look-up failed


async def nobody(question: Question) -> Answer:
    """Stand for a network without names."""
    raise Unanswered(question.name)


class Names:
    """The cache. Bounded; one per node."""

    def __init__(self, loop: asyncio.AbstractEventLoop, look_up: LookUp = nobody) -> None:
        self._loop = loop
        self._look_up = look_up
        self._entries: dict[Question, _Entry] = {}
        self._asking: dict[Question, asyncio.Task[Records]] = {}
        self.counts = {"found": 0, "empty": 0, "failed": 0, "stale": 0}

    def known(self, question: Question) -> Records | None:
        """Return what holds now without asking; None where somebody must be asked."""
        entry = self._entries.get(question)
        if entry is None or self._loop.time() >= entry.until:
            return None
        return entry.records

    async def find(self, question: Question) -> Records:
        """Return the records of a name; empty where it has none, or nobody answers."""
        known = self.known(question)
        if known is not None:
            return known
        task = self._asking.get(question)
        if task is None:
            if len(self._asking) >= MOST_ASKED:
                return self._old(question) or ()
            task = self._asking[question] = self._loop.create_task(self._ask(question))
        old = self._old(question)
        try:
            async with asyncio.timeout(None if old is None else STALE_WAIT_S):
                return await asyncio.shield(task)
        except TimeoutError:
            self.counts["stale"] += 1
            return old or ()

    def forget(self) -> None:
        """Ask anew for everything that failed: there are other name servers now."""
        for question in [one for one, entry in self._entries.items() if entry.retry_s]:
            self._entries[question].until = 0.0

    def close(self) -> None:
        """Stop asking."""
        for task in self._asking.values():
            task.cancel()

    async def _ask(self, question: Question) -> Records:
        try:
            answer = await self._look_up(question)
        except Unanswered as fault:
            return self._fail(question, fault)
        else:
            return self._learn(question, answer)
        finally:
            self._asking.pop(question, None)

    def _learn(self, question: Question, answer: Answer) -> Records:
        records = answer.records
        self.counts["found" if records else "empty"] += 1
        ttl_s = min(max(answer.ttl_s, LEAST_S), MOST_S if records else MOST_EMPTY_S)
        until = self._loop.time() + ttl_s
        self._put(question, _Entry(records, until, until + STALE_S))
        return records

    def _fail(self, question: Question, fault: Unanswered) -> Records:
        """Go on with what was known. Nobody is asked again for a while: others need not wait."""
        self.counts["failed"] += 1
        old = self._old(question)
        before = self._entries.get(question)
        retry_s = RETRY_S if before is None else min(max(before.retry_s * 2, RETRY_S), MOST_RETRY_S)
        if old is not None:
            retry_s = STALE_RETRY_S
        _log.warning("%s %s no answer, asked again in %d s: %s",
                     question.kind, question.name, retry_s, fault)  # fmt: skip
        stale_until = 0.0 if before is None else before.stale_until
        self._put(question, _Entry(old or (), self._loop.time() + retry_s, stale_until, retry_s))
        return old or ()

    def _old(self, question: Question) -> Records | None:
        """Return what was known, the lack of records included; None: never, or too long ago."""
        entry = self._entries.get(question)
        is_usable = entry is not None and self._loop.time() < entry.stale_until
        return entry.records if entry is not None and is_usable else None

    def _put(self, question: Question, entry: _Entry) -> None:
        self._entries.pop(question, None)
        while len(self._entries) >= MOST_NAMES:
            del self._entries[next(iter(self._entries))]
        self._entries[question] = entry
