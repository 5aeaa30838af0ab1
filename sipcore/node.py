"""The composition root of signalling: builds every object once, wires, starts, drains, stops.

It has no socket, file or signal of its own: signalling.py hands it the machine's, the simulation a
virtual clock and a made-up network.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import product
from math import inf
from typing import Any

from msgspec import Struct

from sipcore import catalogue, log
from sipcore.call.admission import STEP_S
from sipcore.call.desk import Desk, Journal, Settings, Tools, callee_headers
from sipcore.call.front import Front, drain, end_all
from sipcore.call.gate import Gate
from sipcore.call.leg import REPLACES
from sipcore.call.mailboxes import Mailboxes
from sipcore.call.packages import CONTACTS, MAILBOX, DialogInfo, MessageSummary, Presence, Reg
from sipcore.call.recover import CALLS_PER_S, close_left_behind
from sipcore.call.registrar import Registrar
from sipcore.call.registrations import Needs, SecretOf
from sipcore.call.sign_in import SignIn
from sipcore.call.subscribe import Judge
from sipcore.call.trunks import Trunks
from sipcore.call.watchers import Limits as WatchLimits
from sipcore.call.watchers import Watchers
from sipcore.cdr.entry import Alive
from sipcore.cdr.recovery import Recovery
from sipcore.clock import Clock
from sipcore.config import Config
from sipcore.dialog.refresh import Rules
from sipcore.dialog.stack import Stack
from sipcore.endpoint import Endpoint
from sipcore.ids import Ids
from sipcore.media.pool import MediaPool
from sipcore.metrics import Metrics
from sipcore.policy.book import Book
from sipcore.store.bindings import Bindings
from sipcore.transport.base import Transport
from sipcore.transport.guard import Guard, Rates
from sipcore.transport.names import LookUp, nobody
from sipcore.transport.networks import Insiders
from sipcore.transport.resolve import Resolver
from sipcore.transport.stream import StreamTransport
from sipcore.transport.udp import UdpTransport
from sipcore.transport.ways import Ways

PROOF_S = 6.0  # what is older was written before, even if one time was missed
ALIVE_S = 2.0  # how much of a call a crash may leave unproven
LOOK_S = 60.0  # between two look-ups of where carriers and trunks are
SWEEP_S = 10.0
SETTLE_S = 2.0  # of the supervisor's patience after drain_s
SETTLE_NOW_S = 0.6  # where all is to end at once: a BYE is said a second time
SETTLE_STEP_S = 0.05
RETRY_AFTER_S = 10

_log = log.logger(__name__)


class Periods:
    """What comes round every so often, at absolute deadlines."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def every(
        self,
        period_s: float,
        act: Callable[[], object],
        late: Callable[[float], object] | None = None,
    ) -> None:
        """Call `act` each period; `late` is told by how many seconds it was called late."""
        key = len(self._timers)

        def turn(due: float) -> None:
            now = self._loop.time()
            if late is not None:
                late(max(0.0, now - due))
            act()
            following = max(due + period_s, now)  # turns missed are not made up for
            self._timers[key] = self._loop.call_at(following, turn, following)

        first = self._loop.time() + period_s
        self._timers[key] = self._loop.call_at(first, turn, first)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()


class Parts(Struct):
    """What a Node is given: everything that touches the world.

    `secret_of` opens a sealed password that a peer wants to be shown.
    """

    clock: Clock
    ids: Ids
    metrics: Metrics
    journal: Journal
    media: MediaPool
    bindings: Bindings
    book: Book
    secret_of: SecretOf = lambda secret, belongs_to: None
    look_up: LookUp = nobody


class Node:
    """One signalling process, without its sockets. Make it inside the running loop."""

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config = config
        self.parts = parts
        self.book = parts.book
        loop = self._loop = asyncio.get_running_loop()
        self.stack = Stack(parts.ids.token)
        resolver = Resolver(loop, parts.look_up, parts.ids.fraction)
        ways = Ways(resolver, Insiders(config.sip.local_networks))
        self.endpoint = Endpoint(self.stack, ways, parts.metrics)
        self.registrar = Registrar(
            self.endpoint, parts.clock, parts.bindings, config.limits.contacts_per_extension
        )
        self.registrar.service_route = config.sip.service_route
        self.registrar.is_path_strict = config.sip.path == "supported"
        rules = Rules(config.sip.session_expires_s, config.sip.min_se_s)
        settings = Settings(
            node=config.node.name,
            most_calls=config.limits.calls,
            silence_s=config.media.silence_s,
            refresh=rules,
            is_reliable=config.sip.reliable != "off",
            told_carriers=callee_headers(rules, config.sip.reliable),
            told_callees=callee_headers(rules, config.sip.reliable, REPLACES),
        )
        self._tasks: set[asyncio.Task[None]] = set()
        needs = Needs(self.endpoint, parts.metrics, parts.ids, parts.secret_of, self._start)
        self.trunks = Trunks(needs, self.registrar.has_phones)
        self.registrar.is_peer = self._is_peer
        tools = Tools(
            lambda: self.book, parts.metrics, parts.clock, parts.ids, self.trunks, settings
        )
        self.desk = Desk(self.endpoint, parts.media, parts.journal, self.registrar, tools)
        key = bytes.fromhex(parts.ids.token(64))
        sign_in = SignIn(config.node.realm, config.sip.digest, key, parts.clock)
        rates_per_s = (float(config.limits.invites_per_s), float(config.limits.registers_per_s))
        sign_in.guard = self.guard = self._make_guard()
        sign_in.is_home = self.registrar.is_home
        self.sign_in = sign_in
        self.front = Front(self.desk, self.registrar, sign_in, self._start, rates_per_s, self.guard)
        self.endpoint.on_arrival = self.front.arrive
        self.gate = self._make_gate()
        self.endpoint.sift = self.gate.sift
        self.mailboxes = Mailboxes()
        self.front.watchers = self.watchers = self._make_watchers()
        self._periods = Periods(loop)
        self._observe()

    def _make_watchers(self) -> Watchers:
        packages = (
            MessageSummary(self.mailboxes),
            DialogInfo(),
            Reg(self.registrar, self.parts.clock),
            Presence(self.registrar),
        )
        mine, now = self.config.limits, self._loop.time
        judge = Judge(lambda: self.book, self.sign_in, packages, now, mine.subscribes_per_s)
        limits = WatchLimits(mine.subscriptions, mine.subscriptions_per_extension)
        watchers = Watchers(self.desk, judge, limits)
        self.registrar.on_change = lambda owner: watchers.changed(owner, CONTACTS)
        self.mailboxes.on_change = lambda line: watchers.changed(line, MAILBOX)
        return watchers

    def _make_guard(self) -> Guard:
        mine = self.config.guard
        rates = Rates(
            mine.messages_per_s,
            mine.known_messages_per_s,
            mine.invites_per_s,
            mine.calls,
            mine.calls_per_extension,
            mine.registers_per_s,
        )
        return Guard(self._is_known, rates)

    def _is_known(self, address: str) -> bool:
        """Tell phones that are registered, peers, carriers that have registered us, and peers that
        we call."""
        return (
            self.registrar.is_source(address)
            or self.book.is_listed(address)
            or self.trunks.registrations.is_at(address)
            or self.trunks.is_reached(address)
        )

    def _is_peer(self, address: str) -> bool:
        return self.book.is_listed(address) or self.trunks.is_peer(address)

    def _make_gate(self) -> Gate:
        def is_listed(address: str) -> bool:
            return self.book.is_listed(address) or self.trunks.registrations.is_at(address)

        mark = self.parts.ids.token(8)
        has_answered = self.front.reception.has
        return Gate(
            self.endpoint, self.guard, mark, is_listed, self.sign_in.sent_nonce, has_answered
        )

    def queued_since(self, wall_s: float) -> None:
        """Be told by a transport when the oldest message of a batch came; 0: none is left."""
        waited_s = max(0.0, self.parts.clock.wall_s() - wall_s) if wall_s else 0.0
        self.gate.admission.observe(waited_s)

    def _judge_lag(self, late_s: float) -> None:
        self.parts.metrics.loop_lag_s.observe(late_s)
        self.gate.admission.step(late_s)

    def change_book(self, book: Book) -> None:
        """Use another snapshot of what is provisioned, from the next request on."""
        self.book = book
        self.guard.review()
        self.trunks.follow(book)

    def listen(self, transport: Transport, advertise: str | None = None) -> None:
        """Take a transport in; its messages are the endpoint's from now."""
        guard, time = self.guard, self._loop.time
        if isinstance(transport, StreamTransport):
            transport.is_known = self._is_known
            transport.is_banned = lambda source: guard.is_banned(source, time())
            transport.admits = lambda source, cost: guard.takes(source, time(), cost, is_real=True)
        elif isinstance(transport, UdpTransport):
            transport.admits = lambda source: guard.takes(source, time(), is_real=False)
        self.endpoint.add(transport, advertise)

    def change_addresses(self) -> None:
        """Find all ways anew: addresses or routes of the machine have changed."""
        self.endpoint.ways.forget()
        self.trunks.registrations.renew()

    def begin(self) -> None:
        """Start what comes round regularly, and register with carriers."""
        self.trunks.follow(self.book)
        self._periods.every(SWEEP_S, self.registrar.sweep)
        self._periods.every(SWEEP_S, self.front.reception.sweep)
        self._periods.every(SWEEP_S, self.watchers.sweep)
        self._periods.every(SWEEP_S, lambda: self.guard.bans.sweep(self._loop.time()))
        self._periods.every(LOOK_S, self.trunks.look_again)
        self._periods.every(ALIVE_S, lambda: self._start(self.prove()))
        self._periods.every(STEP_S, lambda: None, self._judge_lag)

    def recover(self, left: Recovery, calls_per_s: float = CALLS_PER_S) -> None:
        """End the calls that a dead process left, beside those that come."""
        self._start(close_left_behind(left, self.desk, calls_per_s))

    async def prove(self) -> None:
        """Write down which answered calls showed life, and when (service.md section 7)."""
        calls = self.desk.calls
        if not calls:
            return
        now = self.parts.clock.wall_s()
        proofs = {
            record: now - age_s
            for id_, age_s in (await self.parts.media.heard_within(PROOF_S)).items()
            if (call := calls.get(id_)) is not None and call.is_answered
            for record in call.records
        }
        if proofs:
            self.parts.journal.append(Alive(now, proofs))

    async def drain(self, drain_s: float) -> None:
        """Take no new calls; end those that have not ended after `drain_s`."""
        self.trunks.leave()
        await drain(self.front, self.desk, drain_s, RETRY_AFTER_S)
        self.watchers.stop()
        await self._settle(SETTLE_S)

    async def end(self) -> None:
        """End all calls now."""
        self.trunks.leave()
        await end_all(self.front, self.desk, RETRY_AFTER_S)
        self.watchers.stop()
        await self._settle(SETTLE_NOW_S)

    async def _settle(self, longest_s: float) -> None:
        """Stay a little for BYEs that are lost and must be said again."""
        for _ in range(int(longest_s / SETTLE_STEP_S)):
            if self.stack.is_settled and self.trunks.registrations.is_settled:
                break
            await asyncio.sleep(SETTLE_STEP_S)

    def close(self) -> None:
        """Let go of sockets and timers. Calls are over by now."""
        self._periods.close()
        self.watchers.close()
        self.trunks.close()
        self.endpoint.close()
        for task in (*self._tasks, *(call.task for call in self.desk.calls.values())):
            task.cancel()

    def task_count(self) -> int:
        return len(self._tasks) + len(self.desk.calls)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that the node owns."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a task failed", exc_info=fault)

    def _calls_by_state(self) -> dict[tuple[str, ...], float]:
        states = [call.state for call in self.desk.calls.values()]
        return {(state,): states.count(state) for state in catalogue.CALL_STATES}

    def _slots_by_kind(self) -> dict[tuple[str, ...], float]:
        kinds = Counter(key.partition(":")[0] for key, _ in self.desk.slots.leases())
        return {(kind,): kinds[kind] for kind in catalogue.SLOTS.labels["kind"]}

    def _carriers_by_state(self) -> dict[tuple[str, ...], float]:
        states = Counter(self.trunks.state(one) for one in self.book.carriers)
        return {(state,): states[state] for state in catalogue.CARRIERS.labels["state"]}

    def _channels_by_kind(self) -> dict[tuple[str, ...], float]:
        trunks, carriers = self.book.trunks.values(), self.book.carriers.values()
        return {
            ("trunk",): sum(one.channels for one in trunks),
            ("carrier",): sum(one.channels for one in carriers),
        }

    def _repeats(self) -> dict[tuple[str, ...], float]:
        counts: dict[tuple[str, ...], float] = {(k,): n for k, n in self.stack.repeats.items()}
        counts["in",] += self.front.reception.repeats
        return counts

    def _streams(self) -> list[StreamTransport]:
        return [one for one in self.endpoint.transports() if isinstance(one, StreamTransport)]

    def _connections(self) -> dict[tuple[str, ...], float]:
        counts: dict[tuple[str, ...], float] = {(name,): 0 for name in catalogue.STREAMS}
        for one in self._streams():
            counts[one.name,] += len(one)
        return counts

    def _connections_ended(self) -> dict[tuple[str, ...], float]:
        pairs = product(catalogue.STREAMS, catalogue.CONNECTION_FAULTS)
        counts: dict[tuple[str, ...], float] = dict.fromkeys(pairs, 0)
        for one in self._streams():
            for reason, count in one.ended.items():
                counts[one.name, reason] += count
        return counts

    def _certificates(self) -> dict[tuple[str, ...], float]:
        ends: dict[tuple[str, ...], float] = {}
        for one in self._streams():
            if one.tls is not None:
                ends[one.name,] = min(one.tls.expires_at, ends.get((one.name,), inf))
        return ends

    def _observe(self) -> None:
        watch, stack = self.parts.metrics.watch, self.stack
        watch(catalogue.CALLS_ACTIVE, self._calls_by_state)
        watch(catalogue.CALLS_LIMIT, lambda: self.config.limits.calls)
        watch(catalogue.MOVED_CALLS, lambda: self.parts.media.moved_calls)
        watch(catalogue.SLOTS, self._slots_by_kind)
        watch(catalogue.SLOTS_LIMIT, self._channels_by_kind)
        watch(catalogue.BINDINGS, lambda: len(self.registrar))
        watch(catalogue.CARRIERS, self._carriers_by_state)
        watch(catalogue.TRUNKS_DOWN, lambda: self.trunks.trunks_down)
        watch(catalogue.SUBSCRIPTIONS, self.watchers.by_package)
        watch(catalogue.STORE_FAULT, lambda: self.parts.bindings.fault is not None)
        watch(catalogue.TRANSACTIONS, stack.count)
        watch(catalogue.DIALOGS, lambda: len(stack.dialogs))
        watch(catalogue.RETRANSMISSIONS, self._repeats)
        watch(catalogue.TRANSACTION_FAILURES, lambda: {(k,): n for k, n in stack.failures.items()})
        watch(catalogue.ABSORBED, lambda: sum(stack.absorbed.values()))
        watch(catalogue.SHED, lambda: {(k,): n for k, n in self.gate.refused.items()})
        watch(catalogue.ADMITTED_SHARE, lambda: self.gate.admission.share)
        watch(catalogue.QUEUE_AGE, lambda: self.gate.admission.waited_s)
        watch(catalogue.GUARD_DROPPED, lambda: {(k,): n for k, n in self.guard.dropped.items()})
        resolver = self.endpoint.ways.resolver
        watch(catalogue.DNS_LOOKUPS, lambda: {(k,): n for k, n in resolver.names.counts.items()})
        large = stack.oversize.counts
        watch(catalogue.LARGE_REQUESTS, lambda: {(k,): n for k, n in large.items()})
        watch(catalogue.AVOIDED_PLACES, lambda: resolver.avoided.count(self._loop.time()))
        watch(catalogue.BANS, lambda: len(self.guard.bans.active(self._loop.time())))
        watch(catalogue.BANNED, lambda: self.guard.bans.count)
        watch(catalogue.SIGN_INS_THROTTLED, lambda: self.sign_in.throttled_count)
        watch(catalogue.CONNECTIONS, self._connections)
        watch(catalogue.CONNECTIONS_ENDED, self._connections_ended)
        watch(catalogue.CERTIFICATE_EXPIRES, self._certificates)
        watch(catalogue.TASKS, self.task_count)
