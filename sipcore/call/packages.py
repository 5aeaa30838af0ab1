"""The event packages: who may watch what, and what a NOTIFY says of it now.

message-summary (RFC 3842) and reg (RFC 3680) are for an extension's own phones, dialog (RFC 4235)
and presence (RFC 3856) for all extensions of its customer.
"""

import zlib
from collections.abc import Iterable
from typing import Protocol

from msgspec.structs import replace

from sipcore.call.lamp import Line
from sipcore.call.mailboxes import Mailboxes
from sipcore.call.registrar import Registrar
from sipcore.clock import Clock
from sipcore.message.notify import (
    DIALOG_INFO,
    PIDF,
    REGINFO,
    SUMMARY,
    ContactState,
    DialogState,
    dialog_info,
    pidf,
    reginfo,
    summary,
)

MOST_DIALOGS = 8  # in one body, the latest: it should fit a datagram

CALLS, CONTACTS, MAILBOX = "calls", "contacts", "mailbox"  # what may change


class Telling:
    """What one subscriber has been told, as far as the next NOTIFY depends on it."""

    __slots__ = ("said", "told", "version")

    def __init__(self) -> None:
        self.version = 0
        self.told: dict[str, DialogState] = {}  # dialogs it may believe in
        self.said: dict[str, DialogState] = {}  # those of the last NOTIFY

    def accepted(self) -> None:
        """Take note that the last NOTIFY has arrived: what had ended is known to have."""
        self.told = self.said


class Package(Protocol):
    """One event package. `pace_s`: the least time between two NOTIFYs of a subscription."""

    name: str
    content_type: str
    pace_s: float
    heeds: frozenset[str]
    is_private: bool

    def body(self, aor: str, line: Line, dialogs: Iterable[DialogState], telling: Telling) -> bytes:
        """Write the state of now."""
        ...


class MessageSummary:
    """The message-waiting light."""

    name = "message-summary"
    content_type = SUMMARY
    pace_s = 1.0
    heeds = frozenset({MAILBOX})
    is_private = True

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    def body(self, aor: str, line: Line, _: Iterable[DialogState], telling: Telling) -> bytes:
        return summary(aor, self._mailboxes.of(line))


class DialogInfo:
    """The busy lamp. Each NOTIFY has all dialogs, and the end of those that it ended last."""

    name = "dialog"
    content_type = DIALOG_INFO
    pace_s = 1.0
    heeds = frozenset({CALLS})
    is_private = False

    def body(self, aor: str, line: Line, dialogs: Iterable[DialogState], telling: Telling) -> bytes:
        live = {one.id: one for one in list(dialogs)[-MOST_DIALOGS:]}
        ended = [
            replace(one, state="terminated") for one in telling.told.values() if one.id not in live
        ]
        telling.told, telling.said = telling.told | live, live
        return dialog_info(aor, telling.version, [*ended, *live.values()])


class Reg:
    """Where an extension is registered."""

    name = "reg"
    content_type = REGINFO
    pace_s = 5.0
    heeds = frozenset({CONTACTS})
    is_private = True

    def __init__(self, registrar: Registrar, clock: Clock) -> None:
        self._registrar = registrar
        self._clock = clock

    def body(self, aor: str, line: Line, _: Iterable[DialogState], telling: Telling) -> bytes:
        now = self._clock.wall_s()
        contacts = [
            ContactState(
                f"c{zlib.crc32(repr(one.key).encode('utf-8', 'replace')):08x}",
                one.contact,
                one.call_id,
                one.cseq,
                round(one.expires_at - now),
                one.q,
                one.user_agent,
            )
            for one in self._registrar.of(*line)
        ]
        return reginfo(aor, telling.version, contacts)


class Presence:
    """Reachable or not, on the phone or not."""

    name = "presence"
    content_type = PIDF
    pace_s = 5.0
    heeds = frozenset({CALLS, CONTACTS})
    is_private = False

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    def body(self, aor: str, line: Line, dialogs: Iterable[DialogState], telling: Telling) -> bytes:
        is_open = bool(self._registrar.of(*line))
        return pidf(aor, is_open=is_open, is_busy=any(True for _ in dialogs))
