"""What the endpoint asks of a transport, and what a transport tells it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from sipcore.message.flow import Flow

Receive = Callable[[bytes, Flow], None]
ReceiveAll = Callable[[Sequence[tuple[bytes, Flow]]], None]
Lost = Callable[[], None]


class Transport(Protocol):
    """One listening address. It hands whole messages up and never raises into the loop."""

    name: str  # as in Flow.transport
    address: str
    port: int

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        """Send one message. `lost` is called, at once or later, if it certainly cannot go."""
        ...

    def close(self) -> None:
        """Stop receiving and let everything go."""
        ...


def ignore() -> None:
    """Be the `lost` of a message whose loss is repaired by its repetition."""
