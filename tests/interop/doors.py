"""Where a node listens beside UDP, TCP and WS: TLS, WSS, IPv6; and the authority that vouches."""

from pathlib import Path

from tests.interop.node import Settings
from tests.interop.ports import HOST, Ports
from tests.transport.certificates import Authority

HOST6 = "::1"


class Doors:
    """`pair` is the node's certificate and key; peers that it connects to need the authority's."""

    def __init__(
        self, folder: Path, ports: Ports, sip6: int = 0, *, asks_clients: bool = False
    ) -> None:
        """`sip6`: a port of HOST6 for SIP over UDP; 0: none. `asks_clients`: for certificates, by
        TLS; linphonec asks its user for a password then."""
        self.authority = Authority(folder, "authority")  # baresip reads no name with a space
        self.pair = self.authority.issue(HOST, file="node")
        self._asks_clients = asks_clients
        self.tls, self.wss, self.sip6 = ports.take(), ports.take(), sip6

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
        six = [_listen("udp", HOST6, self.sip6)] if self.sip6 else []
        return [
            _listen("tls", HOST, self.tls, shown + asks),
            _listen("wss", HOST, self.wss, shown),
            *six,
        ]


def _listen(transport: str, address: str, port: int, more: str = "") -> str:
    where = f'transport = "{transport}"\naddress = "{address}"\nport = {port}\n'
    return f"[[listen]]\n{where}{more}"
