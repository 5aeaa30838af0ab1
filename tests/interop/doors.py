"""Where a node listens beside UDP, TCP and WS: TLS, WSS, IPv6; and the authority that vouches."""

from pathlib import Path

from tests.interop.node import Settings
from tests.interop.ports import HOST, Ports
from tests.transport.certificates import Authority

HOST6 = "::1"


class Doors:
    """`pair` is the node's certificate and key; peers that it connects to need the authority's."""

    def __init__(
        self, folder: Path, ports: Ports, ports6: Ports | None = None, *, asks_clients: bool = False
    ) -> None:
        """`ports6`: of HOST6, for SIP over UDP and WS. `asks_clients`: for certificates, by
        TLS; linphonec asks its user for a password then."""
        self.authority = Authority(folder, "authority")  # baresip reads no name with a space
        self.pair = self.authority.issue(HOST, file="node")
        self._asks_clients = asks_clients
        self.tls, self.wss = ports.take(), ports.take()
        self.sip6, self.ws6 = (ports6.take(), ports6.take()) if ports6 else (0, 0)

    def settings(self) -> Settings:
        """Return what the node is told of them."""
        return Settings(
            listens="".join(self._listens()),
            tls_ca=self.authority.file,
            address6=HOST6 if self.sip6 else "",
        )

    def _listens(self) -> list[str]:
        shown = f'certificate = "{self.pair[0]}"\nkey = "{self.pair[1]}"\n'
        asks = f'client_ca = "{self.authority.file}"\n' if self._asks_clients else ""
        pairs = (("udp", self.sip6), ("ws", self.ws6))
        six = [_listen(kind, HOST6, port) for kind, port in pairs if port]
        return [
            _listen("tls", HOST, self.tls, shown + asks),
            _listen("wss", HOST, self.wss, shown),
            *six,
        ]


def _listen(transport: str, address: str, port: int, more: str = "") -> str:
    where = f'transport = "{transport}"\naddress = "{address}"\nport = {port}\n'
    return f"[[listen]]\n{where}{more}"
