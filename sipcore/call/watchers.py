"""SUBSCRIBE and NOTIFY (RFC 6665): who watches which extension, and what they are told.

Subscriptions live in memory. After a restart a phone's refresh gets 481 and it subscribes anew, in
MOST_EXPIRES_S at the latest; a node that stops in order tells it to.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from sipcore import catalogue
from sipcore.call.desk import Desk
from sipcore.call.hops import hop_within
from sipcore.call.lamp import Line, aor_of
from sipcore.call.packages import CALLS, Telling
from sipcore.call.subscribe import AGAIN_S, Asked, Judge, Refusal, again_in
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Reply, Told, Within
from sipcore.dialog.subscription import Notice, Notifier, Subscription
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from sipcore.message.notify import MOST_VERSION, DialogState
from sipcore.message.uri import Uri

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from sipcore.call.call import Call

FULL_S = 60
STOP_S = 5  # after which, and within as much again, phones subscribe at the next process

GONE = {403: "rejected", 404: "noresource"}  # a refresh that ends the subscription, and its reason


class Limits(Struct, frozen=True):
    """How many subscriptions there may be."""

    node: int
    subscriber: int


class Watcher:
    """One subscription: its dialog, what it watches, what it has been told."""

    __slots__ = ("_owner", "asked", "dialog", "scheme", "subscription", "telling")

    def __init__(self, owner: "Watchers", asked: Asked, scheme: str) -> None:
        self._owner = owner
        self.asked = asked
        self.scheme = scheme
        self.dialog: Dialog | None = None
        self.telling = Telling()
        self.subscription = Subscription(self, asked.package.pace_s, 0.0)

    @property
    def line(self) -> Line:
        return self.asked.line

    def feed(self, event: Told) -> None:
        self._owner.heed(self, event)


class Watch:
    """An extension that somebody watches: its live calls, and who is told of them."""

    def __init__(self, owner: "Watchers", line: Line) -> None:
        self._owner = owner
        self.line = line
        self.dialogs: dict[str, DialogState] = {}
        self.watchers: list[Watcher] = []

    def see(self, call: "Call") -> None:
        """Take note of a call's state of now."""
        before, after = self.dialogs.get(call.id), call.dialog_of(self.line)
        if before == after:
            return
        if after is None:
            del self.dialogs[call.id]
        else:
            self.dialogs[call.id] = after
        self._owner.changed(self.line, CALLS)


class Watchers:
    """All subscriptions of a node."""

    def __init__(self, desk: Desk, judge: Judge, limits: Limits) -> None:
        self._desk = desk
        self._judge = judge
        self._limits = limits
        self._watched: dict[Line, Watch] = {}
        self._of_subscriber: Counter[Line] = Counter()
        self._count = 0
        self._notifier: Notifier[Watcher] = Notifier()
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0
        self._is_draining = False
        desk.watched = self._watched

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Watcher]:
        for watch in list(self._watched.values()):
            yield from list(watch.watchers)

    # What comes

    def arrive(self, request: Request, flow: Flow) -> None:
        """Take a SUBSCRIBE outside any dialog. Refusals keep nothing. Raises BadMessage."""
        endpoint, metrics = self._desk.endpoint, self._desk.metrics
        asked = self._judge.judge(request, flow)
        if isinstance(asked, Asked) and (refusal := self._full(asked)) is not None:
            asked = refusal
        if isinstance(asked, Refusal):
            self._count_refusal(asked)
            endpoint.reply_statelessly(request, flow, asked.status, asked.headers)
            return
        endpoint.vouch(flow)
        watcher = Watcher(self, asked, Uri.parse(request.uri).scheme)
        transaction = endpoint.accept(request, flow, watcher)
        watcher.dialog = endpoint.open_dialog(transaction)
        watcher.dialog.is_confirmed = True
        self._keep(watcher)
        endpoint.respond(transaction, 200, self._granted(watcher, flow, asked.expires_s))
        metrics.count_subscribe("accepted" if asked.expires_s else "fetched")
        self._renew(watcher, asked.expires_s)

    def _full(self, asked: Asked) -> Refusal | None:
        if self._of_subscriber[asked.who] >= self._limits.subscriber:
            return Refusal(403, again_in(AGAIN_S))
        return Refusal(503, again_in(FULL_S)) if self._count >= self._limits.node else None

    def heed(self, watcher: Watcher, event: Told) -> None:
        """Take what happens in a subscription's dialog."""
        if isinstance(event, Within):
            self._within(watcher, event)
        elif isinstance(event, Reply) and event.response.status >= 200:
            status = event.response.status
            if status < 300:
                watcher.telling.accepted()
            self._desk.metrics.count_notify(
                "told" if status < 300 else "unheard" if event.is_local else "refused"
            )
            later_s = None
            if not event.is_local and "Retry-After" in event.response.headers:
                later_s = event.response.number("Retry-After", (1 << 32) - 1)
            self._notifier.answered(watcher.subscription, status, later_s, self._now())
            self._drain()

    def changed(self, line: Line, what: str) -> None:
        """Take note that calls, contacts or the mailbox of an extension have changed."""
        watch = self._watched.get(line)
        if watch is None:
            return
        now = self._now()
        for watcher in watch.watchers:
            if what in watcher.asked.package.heeds:
                self._notifier.change(watcher.subscription, now)
        self._drain()

    def sweep(self) -> None:
        """End what was not refreshed."""
        now = self._now()
        for watcher in self:
            if watcher.subscription.expires_at <= now:
                self._notifier.end(watcher.subscription, "timeout", now)
        self._drain()

    def stop(self) -> None:
        """Tell all that they shall subscribe anew in some seconds: the node stops."""
        now = self._now()
        for watcher in self:
            again_s = STOP_S + int(STOP_S * self._desk.ids.fraction())
            self._notifier.end(watcher.subscription, f"probation;retry-after={again_s}", now)
        self._drain()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # SUBSCRIBE

    def _within(self, watcher: Watcher, event: Within) -> None:
        """Take a refresh or the end; it is judged like the first SUBSCRIBE."""
        request, transaction = event.request, event.transaction
        endpoint, metrics = self._desk.endpoint, self._desk.metrics
        if request.method != "SUBSCRIBE":
            endpoint.respond(transaction, 405, {"Allow": ["SUBSCRIBE"]})
            return
        asked = self._judge.judge(request, event.dialog.flow)
        if isinstance(asked, Refusal):
            self._count_refusal(asked)
            endpoint.respond(transaction, asked.status, asked.headers)
            if asked.status in GONE:
                self._notifier.end(watcher.subscription, GONE[asked.status], self._now())
                self._drain()
        elif watcher.subscription.is_ending or asked.what != watcher.asked.what:
            endpoint.respond(transaction, 481)
        else:
            event.dialog.learn_target(request)
            flow, expires_s = event.dialog.flow, asked.expires_s
            endpoint.respond(transaction, 200, self._granted(watcher, flow, expires_s))
            metrics.count_subscribe("refreshed" if expires_s else "ended")
            self._renew(watcher, expires_s)

    def _count_refusal(self, refusal: Refusal) -> None:
        self._desk.metrics.count_subscribe(refusal.result)
        if refusal.result == "wrong":
            self._desk.metrics.count_wrong_credentials("SUBSCRIBE")

    def _granted(self, watcher: Watcher, flow: Flow, expires_s: int) -> Headers:
        contact = self._desk.endpoint.hop_by(flow).contact(watcher.line[1], watcher.scheme)
        return {"Contact": [contact], "Expires": [str(expires_s)]}

    def _renew(self, watcher: Watcher, expires_s: int) -> None:
        """Let a subscription last, and tell its state at once; or end it, with its state."""
        now = self._now()
        if expires_s:
            self._notifier.ask(watcher.subscription, now + expires_s, now)
        else:
            self._notifier.end(watcher.subscription, "timeout", now)
        self._drain()

    # NOTIFY

    def _drain(self) -> None:
        """Do what is due, and set the timer for what is not."""
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while (notice := self._notifier.poll()) is not None:
                self._act(notice)
        finally:
            self._is_draining = False
        at = self._notifier.next_timeout()
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._desk.loop.call_at(at, self._timeout)

    def _timeout(self) -> None:
        self._timer = None
        self._notifier.handle_timeout(self._now())
        self._drain()

    def _act(self, notice: Notice[Watcher]) -> None:
        if notice.is_over:
            self._forget(notice.watcher)
        else:
            self._notify(notice.watcher, is_last=notice.is_last)

    def _notify(self, watcher: Watcher, *, is_last: bool) -> None:
        dialog, subscription, telling = watcher.dialog, watcher.subscription, watcher.telling
        assert dialog is not None, "the SUBSCRIBE began it"
        hop = hop_within(self._desk.endpoint, dialog)
        left_s = max(0, round(subscription.expires_at - self._now()))
        state = (
            f"terminated;reason={subscription.reason}" if is_last else f"active;expires={left_s}"
        )
        headers: Headers = {
            "Contact": [hop.contact(watcher.line[1], watcher.scheme)],
            "Event": [watcher.asked.event],
            "Subscription-State": [state],
        }
        body = self._body(watcher)
        if body:
            headers["Content-Type"] = [watcher.asked.package.content_type]
        telling.version = min(telling.version + 1, MOST_VERSION)
        self._desk.endpoint.request(dialog.request("NOTIFY", headers, body), hop, watcher)

    def _body(self, watcher: Watcher) -> bytes:
        """Write the state of now; nothing for an extension that is no more."""
        customer = self._desk.book().customers.get(watcher.line[0])
        watch = self._watched.get(watcher.line)
        if customer is None or watch is None:
            return b""
        live = [one for id_, one in watch.dialogs.items() if id_ in self._desk.calls]
        aor = aor_of(customer.domain, watcher.line[1])
        return watcher.asked.package.body(aor, watcher.line, live, watcher.telling)

    # Who watches whom

    def _keep(self, watcher: Watcher) -> None:
        watch = self._watched.get(watcher.line)
        if watch is None:
            watch = self._watched[watcher.line] = Watch(self, watcher.line)
            for call in self._desk.calls.values():  # nobody has noted them till now
                if (found := call.dialog_of(watcher.line)) is not None:
                    watch.dialogs[call.id] = found
        watch.watchers.append(watcher)
        self._of_subscriber[watcher.asked.who] += 1
        self._count += 1

    def _forget(self, watcher: Watcher) -> None:
        watch = self._watched.get(watcher.line)
        if watch is None or watcher not in watch.watchers:
            return
        watch.watchers.remove(watcher)
        if not watch.watchers:
            del self._watched[watcher.line]
        self._count -= 1
        self._of_subscriber[watcher.asked.who] -= 1
        if not self._of_subscriber[watcher.asked.who]:
            del self._of_subscriber[watcher.asked.who]
        if watcher.dialog is not None:
            self._desk.endpoint.end(watcher.dialog)

    def _now(self) -> float:
        return self._desk.loop.time()

    def by_package(self) -> dict[tuple[str, ...], float]:
        """Count the subscriptions of each package."""
        counts = Counter(watcher.asked.package.name for watcher in self)
        return {(name,): counts[name] for name in catalogue.EVENT_PACKAGES}
