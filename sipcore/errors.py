"""Exceptions of the whole program, typed by who must act. A refusal is a value, no error."""


class SipcoreError(Exception):
    """Base of everything that sipcore raises on purpose."""


class BadMessage(SipcoreError):
    """The peer broke the grammar. Raised in message/, caught in endpoint.py and nowhere else.

    `status` is the SIP status that one stateless reply may carry (RFC 3261 21.4.1).
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class BadConfig(SipcoreError):
    """A file that an operator wrote is wrong. `faults` are whole sentences, each with its place."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class CannotStart(SipcoreError):
    """The node cannot run here and now: a port or a folder is taken. One line says why."""


class NoNode(SipcoreError):
    """No node runs on this data folder."""


class MediaError(SipcoreError):
    """Media could not do what was asked: no port free, a worker gone, an SDP without a stream."""
