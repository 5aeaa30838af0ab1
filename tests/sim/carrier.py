"""A carrier for simulations: a phone that is a registrar, too, and asks for credentials.

It does what its script says: grants, challenges, refuses, is silent.
"""

from collections.abc import Callable

from sipcore.message.digest import challenge, ha1, is_right, parse_credentials
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from tests.sim.net import Net, Place
from tests.sim.phone import Phone

REALM = "carrier.example"
Answer = tuple[int, Headers]  # status 0: silence


class Carrier(Phone):
    """At a place. `registers` collects the REGISTERs that came, `probes` the OPTIONS."""

    def __init__(self, net: Net, place: Place, user: str = "", password: str = "") -> None:
        super().__init__(net, place, user or "carrier", password)
        self.registers: list[Request] = []
        self.probes: list[Request] = []
        self.challenged: list[Request] = []
        self.wants_credentials = bool(password)
        self.algorithm = "MD5"
        self.grants_s: int | None = None
        self.script: list[Answer] = []  # what the next requests are answered, before the usual
        self.probe_status = 200
        self.extra: Headers = {}
        self._nonce = 0
        self.on_register: Callable[[Request], Answer] = self.usual

    def _arrive(self, request: Request, flow: Flow) -> None:
        if request.method == "REGISTER":
            self.registers.append(request)
            self._answer(request, flow, self.script.pop(0) if self.script else self._judge(request))
        elif request.method == "OPTIONS":
            self.probes.append(request)
            self._answer(request, flow, (self.probe_status, {}))
        elif request.method == "INVITE" and not self.is_signed(request):
            self.challenged.append(request)
            self._answer(request, flow, (407, self.challenge("Proxy-Authenticate")))
        else:
            super()._arrive(request, flow)

    def _answer(self, request: Request, flow: Flow, answer: Answer) -> None:
        status, headers = answer
        if status:
            self.endpoint.reply_statelessly(request, flow, status, headers)

    def _judge(self, request: Request) -> Answer:
        if not self.is_signed(request):
            return 401, self.challenge("WWW-Authenticate")
        return self.on_register(request)

    def is_signed(self, request: Request) -> bool:
        """Tell whether a request has good credentials, or needs none."""
        if not self.wants_credentials:
            return True
        for name in ("Authorization", "Proxy-Authorization"):
            for row in request.headers.get(name, ()):
                credentials = parse_credentials(row)
                assert credentials is not None
                assert credentials.uri == request.uri
                secret = ha1(credentials.algorithm, self.user, REALM, self.password)
                if is_right(credentials, request.method, secret):
                    return True
        return False

    def challenge(self, header: str, *, is_stale: bool = False) -> Headers:
        self._nonce += 1
        return {header: [challenge(self.algorithm, REALM, f"n{self._nonce}", is_stale=is_stale)]}

    def usual(self, request: Request) -> Answer:
        """Grant what is asked for, or what the script says."""
        asked = request.number("Expires", 1_000_000) or 0
        granted = asked if self.grants_s is None or not asked else self.grants_s
        contact = request.values("Contact")[0].partition(";expires")[0]
        return 200, {"Contact": [f"{contact};expires={granted}"], **self.extra}
