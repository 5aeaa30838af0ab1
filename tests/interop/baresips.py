"""Two baresips at a node, each of which plays a tone of its own when it talks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.interop.clients.baresip import Baresip
from tests.interop.clients.base import PHONE_HOST, Line
from tests.interop.node import Node
from tests.interop.ports import HOST, Ports
from tests.interop.tones import write_tone
from tests.interop.town import DESK, WORKSHOP
from tests.interop.waiting import until

DESK_HZ, WORKSHOP_HZ = 440.0, 1020.0


@contextmanager
def two_baresips(folder: Path, node: Node) -> Iterator[tuple[Baresip, Baresip]]:
    """Register one at the front desk and one in the workshop."""
    with ExitStack() as opened:
        ports = Ports(PHONE_HOST)
        opened.callback(ports.close)
        phones = []
        for account, hertz in ((DESK, DESK_HZ), (WORKSHOP, WORKSHOP_HZ)):
            tone = write_tone(folder / f"{account.user}.wav", hertz, 30)
            line = Line.of(account, f"{HOST}:{node.sip}", "udp", ports)
            phones.append(Baresip(folder / f"baresip-{account.user}", line, tone))
            opened.callback(phones[-1].end)
        for phone in phones:
            phone.start()
        until("both are registered", lambda: len(node.show("bindings")) == 2)
        yield phones[0], phones[1]
