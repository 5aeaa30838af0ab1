"""The bodies of NOTIFY: message-summary, dialog-info, reginfo, PIDF. Values in, text out."""

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from sipcore.message.address import name_of

_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 2.2
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
MOST_VERSION = 2**31 - 1

SUMMARY = "application/simple-message-summary"
DIALOG_INFO = "application/dialog-info+xml"
REGINFO = "application/reginfo+xml"
PIDF = "application/pidf+xml"


class Counts(Struct, frozen=True, gc=False):
    """Messages of a mailbox."""

    new: int = 0
    old: int = 0
    new_urgent: int = 0
    old_urgent: int = 0


class DialogState(Struct, frozen=True, gc=False):
    """A dialog as RFC 4235 tells it. `remote`: the other party's URI, "" where it is hidden."""

    id: str
    state: str  # trying, early, confirmed, terminated
    direction: str  # initiator, recipient
    remote: str = ""
    remote_name: str = ""
    ids: tuple[str, str, str] | None = None  # Call-ID, local tag, remote tag: as its phone has them


class ContactState(Struct, frozen=True, gc=False):
    """A binding as RFC 3680 tells it."""

    id: str
    uri: str
    call_id: str
    cseq: int
    expires_s: int
    q: float = 1.0
    user_agent: str = ""


def summary(account: str, counts: Counts) -> bytes:
    """Write what waits in a mailbox (RFC 3842 5.2)."""
    waiting = "yes" if counts.new else "no"
    urgent = f"{counts.new_urgent}/{counts.old_urgent}"
    return (
        f"Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\n"
        f"Voice-Message: {counts.new}/{counts.old} ({urgent})\r\n"
    ).encode("utf-8", "replace")


def dialog_info(entity: str, version: int, dialogs: Iterable[DialogState]) -> bytes:
    """Write all dialogs of an extension (RFC 4235 4): full state, so that none can be missed."""
    rows = "".join(_dialog(entity, one) for one in dialogs)
    return _document(
        f'<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}"'
        f' state="full" entity={_quoted(entity)}>\n{rows}</dialog-info>\n'
    )


def _dialog(entity: str, one: DialogState) -> str:
    remote = one.remote or "sip:anonymous@anonymous.invalid"
    display = f" display={_quoted(one.remote_name)}" if one.remote_name and one.remote else ""
    local = _party("local", entity, "")
    ids = ""
    if one.ids is not None:
        call_id, mine, theirs = map(_quoted, one.ids)
        ids = f" call-id={call_id} local-tag={mine} remote-tag={theirs}"
    return (
        f"<dialog id={_quoted(one.id)}{ids} direction={_quoted(one.direction)}>\n"
        f"<state>{one.state}</state>\n{local}{_party('remote', remote, display)}</dialog>\n"
    )


def _party(side: str, uri: str, display: str) -> str:
    identity = f"<identity{display}>{_text(uri)}</identity>"
    return f"<{side}>{identity}<target uri={_quoted(uri)}/></{side}>\n"


def reginfo(aor: str, version: int, contacts: Iterable[ContactState]) -> bytes:
    """Write all contacts of an extension (RFC 3680 5)."""
    rows = "".join(_contact(one) for one in contacts)
    state = "active" if rows else "terminated" if version else "init"
    return _document(
        f'<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="full">\n'
        f'<registration aor={_quoted(aor)} id="r1" state="{state}">\n{rows}'
        "</registration>\n</reginfo>\n"
    )


def _contact(one: ContactState) -> str:
    agent = ""
    if one.user_agent:
        agent = f'<unknown-param name="user-agent">{_text(one.user_agent)}</unknown-param>'
    return (
        f'<contact id={_quoted(one.id)} state="active" event="registered"'
        f' expires="{one.expires_s}" q="{one.q:.3g}" callid={_quoted(one.call_id)}'
        f' cseq="{one.cseq}"><uri>{_text(one.uri)}</uri>{agent}</contact>\n'
    )


def pidf(entity: str, *, is_open: bool, is_busy: bool) -> bytes:
    """Write presence (RFC 3863): registered or not, and on the phone or not (RFC 4480 3.2)."""
    basic = "open" if is_open else "closed"
    note, person = "", ""
    if is_busy:
        note = "<note>On the phone</note>"
        activity = "<rpid:activities><rpid:on-the-phone/></rpid:activities>"
        person = f'<dm:person id="p1">{activity}</dm:person>\n'
    return _document(
        '<presence xmlns="urn:ietf:params:xml:ns:pidf"'
        ' xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"'
        f' xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity={_quoted(entity)}>\n'
        f'<tuple id="t1"><status><basic>{basic}</basic></status>{note}</tuple>\n{person}'
        "</presence>\n"
    )


def _document(text: str) -> bytes:
    return (_HEAD + text).encode()


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("", name_of(text))


def _text(text: str) -> str:
    return escape(_clean(text))


def _quoted(text: str) -> str:
    return quoteattr(_clean(text))
