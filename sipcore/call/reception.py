"""REGISTERs at the front: repeats, the rate, who it is, the registrar, the answer (RFC 3261 10.3).

Nearly all messages of a node may be these, so no transaction is opened: answers are written from
text, and what a repeat must get again (17.2.2) is kept here, in a tenth of the memory.
"""

from sipcore.call.desk import Desk
from sipcore.call.registrar import Registrar
from sipcore.call.sign_in import SignIn, Unproven
from sipcore.dialog.matching import reply_flow
from sipcore.message.echo import write_answer, write_rows
from sipcore.message.flow import Flow
from sipcore.message.glance import Glance
from sipcore.message.message import Request
from sipcore.transport.buckets import SharedBucket
from sipcore.transport.guard import Guard

TURN_S = 16.0
MOST_DIGITS = 10  # of a number in CSeq (RFC 3261 8.1.1.5)
GENERATIONS = 3  # so that an answer is kept for 32 s, which is timer J, to 48 s


class Answers:
    """The latest answers by what their requests hash to. Told the time."""

    def __init__(self) -> None:
        self._generations: list[dict[int, str]] = [{} for _ in range(GENERATIONS)]
        self._turns_at = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._generations))

    def find(self, key: int) -> str | None:
        """Return what was answered of late."""
        for answers in self._generations:
            if (found := answers.get(key)) is not None:
                return found
        return None

    def keep(self, key: int, answer: str) -> None:
        """Keep an answer."""
        self._generations[0][key] = answer

    def turn(self, now: float) -> None:
        """Let go what is old."""
        if now < self._turns_at:
            return
        turns = min(int((now - self._turns_at) / TURN_S) + 1, GENERATIONS)
        young: list[dict[int, str]] = [{} for _ in range(turns)]
        self._generations = (young + self._generations)[:GENERATIONS]
        self._turns_at = now + TURN_S


class Reception:
    """One per node. `repeats`: how many REGISTERs came again."""

    def __init__(
        self, desk: Desk, registrar: Registrar, sign_in: SignIn, rate: SharedBucket, guard: Guard
    ) -> None:
        self._desk = desk
        self._registrar = registrar
        self._sign_in = sign_in
        self._rate = rate
        self._guard = guard
        self._answers = Answers()
        self.repeats = 0

    def arrive(self, request: Request, flow: Flow) -> None:
        """Take a REGISTER. Raises BadMessage where it turns out broken."""
        headers, marks, now = request.headers, request.marks, self._desk.loop.time()
        place = flow.remote_address, flow.remote_port
        key = hash((marks.branch, marks.sent_by, marks.call_id, marks.number, place))
        if "Authorization" in headers or "Proxy-Authorization" in headers:
            said = self._answers.find(key)
            if said is not None:
                self.repeats += 1
                self._answer(request, flow, key, int(said[:3]), said[3:])
                return
        if self._takes(request, flow, now):
            self._judge(request, flow, key, now)
        else:
            self._throttle(request, flow, key)

    def _judge(self, request: Request, flow: Flow, key: int, now: float) -> None:
        """Find out who asks; challenge or register him."""
        desk = self._desk
        who = self._sign_in.identify(desk.book(), request, flow, request.to.uri.address)
        if isinstance(who, Unproven):
            desk.metrics.count_registration("refused" if who.is_wrong else "challenged")
            if who.is_wrong:
                desk.metrics.count_wrong_credentials("REGISTER")
            self._answer(request, flow, key, 401, write_rows(who.headers))
            return
        if not self._guard.takes_register(flow.remote_address, now):
            self._throttle(request, flow, key)
            return
        if flow.connection:
            desk.endpoint.vouch(flow)
        verdict = self._registrar.register(who, request, flow)
        desk.metrics.count_registration(verdict.result)
        status, rows = verdict.status, write_rows(verdict.headers)
        if flow.transport == "udp":  # on others nothing comes again
            self._answers.turn(now)
            self._answers.keep(key, f"{status}{rows}")
        self._answer(request, flow, key, status, rows)

    def has(self, seen: Glance, flow: Flow) -> bool:
        """Tell whether a REGISTER, seen at a glance, comes again: then its answer is here."""
        branch, sent_by, method = seen.key
        number = seen.fields[b"cseq"].partition(b" ")[0]
        if method != "REGISTER" or not seen.is_signed:
            return False
        if not number.isdigit() or len(number) > MOST_DIGITS:
            return False
        call_id = seen.call_id.decode("utf-8", "surrogateescape").strip()
        place = flow.remote_address, flow.remote_port
        return self._answers.find(hash((branch, sent_by, call_id, int(number), place))) is not None

    def sweep(self) -> None:
        """Let go what no repeat can ask for any more."""
        self._answers.turn(self._desk.loop.time())

    def _takes(self, request: Request, flow: Flow, now: float) -> bool:
        """Take one of the node's REGISTERs: of who proves his address, else of a part."""
        rate, is_known = self._rate, self._guard.is_trusted(flow.remote_address, now)
        if rate.takes_unproven(now, is_known=is_known):
            return rate.take(now)
        is_real = self._sign_in.is_real(request, flow)
        return is_real and rate.takes_proven(now, is_known=is_known) and rate.take(now)

    def _throttle(self, request: Request, flow: Flow, key: int) -> None:
        self._desk.metrics.count_registration("throttled")
        self._answer(request, flow, key, 503, "Retry-After: 5\r\n")

    def _answer(self, request: Request, flow: Flow, key: int, status: int, rows: str) -> None:
        """Send an answer. The tag is the same for repeats (8.2.7)."""
        data = write_answer(request, status, f"{key & 0xFFFFFFFF:08x}", rows)
        self._desk.endpoint.send_as_it_is(data, reply_flow(request, flow), "REGISTER")
