"""What the people of the town do, in words: register, call, be called."""

from collections.abc import Sequence

from tests.interop.sipp import Peer, Sipp
from tests.interop.town import Account, Town

LONG_MS = 30_000
LINGER = ("-set", "linger")


class Devices:
    """Phones, PBXs and carriers, each a SIPp of its own."""

    def __init__(self, sipp: Sipp, town: Town) -> None:
        self.sipp = sipp
        self.town = town

    def register(self, account: Account, port: int | None = None, *options: str) -> int:
        """Register a device; return the port at which it wants to be called."""
        port = port or self.sipp.port()
        peer = self.sipp.start(
            "register",
            *("-au", account.user, "-ap", account.password),
            *options,
            port=port,
            keys={"caller": account.user, "domain": account.domain, "expires": 600},
        )
        peer.ends_well()
        return port

    def call(
        self,
        account: Account,
        callee: str,
        scenario: str = "call",
        *,
        caller: str = "",
        ms: int = 200,
        linger_ms: int = 0,
        port: int | None = None,
        towards: int | None = None,
        contact_port: int | None = None,
        transport: str = "u1",
    ) -> Peer:
        """Let a device with credentials call. `caller`: the number in From. `ms`: see scenario."""
        keys: dict[str, str | int] = {"caller": caller or account.user, "domain": account.domain}
        if contact_port is not None:
            keys["contact_port"] = contact_port
        return self.sipp.start(
            scenario,
            *("-s", callee, "-au", account.user, "-ap", account.password),
            *("-d", str(ms), *LINGER, str(linger_ms), "-t", transport),
            port=port,
            towards=towards,
            keys=keys,
        )

    def call_from(
        self, port: int, caller: str, callee: str, scenario: str = "call", *, ms: int = 200
    ) -> Peer:
        """Let a peer call that is known by its address."""
        return self.sipp.start(
            scenario,
            *("-s", callee, "-d", str(ms), *LINGER, "0"),
            port=port,
            keys={"caller": caller, "domain": "peer.example"},
        )

    def answer(
        self,
        port: int,
        scenario: str = "answer",
        *,
        ms: int = 200,
        linger_ms: int = 0,
        calls: int = 1,
        contact_port: int | None = None,
        more: Sequence[str] = (),
    ) -> Peer:
        """Let somebody be called at a port, so many times. `more`: options of SIPp."""
        keys = {} if contact_port is None else {"contact_port": contact_port}
        options = ("-d", str(ms), *LINGER, str(linger_ms), "-m", str(calls), *more)
        return self.sipp.listen(scenario, *options, port=port, keys=keys)

    def refuse(self, port: int, status: int, reason: str) -> Peer:
        """Let somebody refuse calls at a port."""
        keys: dict[str, str | int] = {"status": status, "reason": reason}
        return self.sipp.listen("refuse", *LINGER, "0", port=port, keys=keys)
