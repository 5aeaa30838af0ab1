"""Flow: the path a message came by and its answer goes back on (RFC 5626 3.1, RFC 3581)."""

from typing import Literal

from msgspec import Struct

# RFC 7118 5.2: a URI says ws, whether TLS lies beneath it or not.
_PARAMETERS = {
    "udp": "",
    "tcp": ";transport=tcp",
    "tls": ";transport=tls",
    "ws": ";transport=ws",
    "wss": ";transport=ws",
}

# What a UDP peer gets that is too large for a datagram: TCP, fragments, or TCP where it answers.
OverMtu = Literal["auto", "udp", "tcp"]


GONE = -1  # the connection of a process that is no more


class Flow(Struct, frozen=True, gc=False):
    """Transport, both ends, and for a stream which connection it is.

    `connection` is 0 for datagrams and for a stream that has not been opened yet, GONE for one
    that will never be again: who has the same address and port now may be another (RFC 5626).
    `domain` is what the peer's certificate must prove on a TLS connection that we open (RFC 5922).
    """

    transport: str  # "udp" | "tcp" | "tls" | "ws" | "wss"
    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    connection: int = 0
    domain: str = ""

    @property
    def is_secure(self) -> bool:
        """True on TLS: a sips: URI may be spoken of here."""
        return self.transport in ("tls", "wss")

    @property
    def is_reliable(self) -> bool:
        """True where the transport itself repeats what was lost (RFC 3261 17)."""
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport}:{host_port(self.remote_address, self.remote_port)}"


class Hop(Struct, frozen=True, gc=False):
    """Where a request goes out, and how we name ourselves to whom it reaches (Via, Contact)."""

    flow: Flow
    sent_by: str

    def via(self, branch: str) -> str:
        """Write our Via; rport asks for symmetric answers (RFC 3581 3)."""
        return f"SIP/2.0/{self.flow.transport.upper()} {self.sent_by};branch={branch};rport"

    def contact(self, user: str | None = None, scheme: str = "sip") -> str:
        """Write our Contact as seen over this hop; sips: only where the hop itself is TLS."""
        at = f"{user}@" if user else ""
        if scheme == "sips" and self.flow.is_secure:
            transport = ";transport=ws" if self.flow.transport == "wss" else ""
            return f"<sips:{at}{self.sent_by}{transport}>"
        return f"<sip:{at}{self.sent_by}{_PARAMETERS[self.flow.transport]}>"


def host_port(address: str, port: int) -> str:
    """Write an address and a port; IPv6 in brackets (RFC 3261 25.1)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
