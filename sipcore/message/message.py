"""Request and Response: a start line, header fields, a body. Typed views are made when asked for.

Text is UTF-8 with surrogateescape, so that any bytes (GBK names) come out as they went in.
"""

from collections.abc import Iterator

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.address import Address, parse_address, tag_of
from sipcore.message.status import reason_of
from sipcore.message.values import (
    USUAL_VIA_PARAMS,
    CSeq,
    Via,
    parse_cseq,
    parse_number,
    parse_sent_by,
    parse_via,
    split_commas,
)

Headers = dict[str, list[str]]


class Marks(Struct, frozen=True, gc=False):
    """What tells a message from all others, and where it belongs."""

    call_id: str
    branch: str
    sent_by: str
    from_: str  # as it stands
    from_tag: str
    to_tag: str | None
    number: int  # of CSeq, as the next
    method: str
    is_plain: bool  # its topmost Via has a branch and an empty rport, and nothing else


UNREAD = Marks("", "", "", "", "", None, 0, "", False)


_NONE: tuple[str, ...] = ()


class Message:
    """What requests and responses share. `headers` maps one spelling of a name to its values.

    The order of different fields carries no meaning (RFC 3261 7.3.1); that of equal ones is kept.
    A view that meets broken text raises BadMessage. `marks` are there once `read` has been called:
    who takes valid messages needs no other view of what they say.
    """

    __slots__ = _NONE  # the two below have the fields

    headers: Headers
    body: bytes
    marks: Marks
    is_usual: bool  # parse has found its shape right: validate need not look at it again
    _via: Via | None
    _from: Address | None
    _to: Address | None
    _contact: Address | None
    _cseq: CSeq | None

    def first(self, name: str) -> str | None:
        """Return the first value of a field, or None."""
        values = self.headers.get(name)
        return values[0] if values else None

    def values(self, name: str) -> list[str]:
        """Return all values of a field whose values may also stand on one line, comma between."""
        rows = self.headers.get(name)
        if not rows:
            return []
        if len(rows) == 1 and rows[0] and "," not in rows[0]:
            return list(rows)
        return [value for row in rows for value in split_commas(row) if value]

    def tokens(self, name: str) -> list[str]:
        """Return option tags, in lower case: Require, Supported (RFC 3261 7.3.1)."""
        tokens = (
            token.strip().lower() for row in self.headers.get(name, ()) for token in row.split(",")
        )
        return [token for token in tokens if token]

    def addresses(self, name: str) -> list[Address]:
        """Return the addresses of Contact, Route, Record-Route, P-Asserted-Identity and so on."""
        return [parse_address(value) for value in self.values(name)]

    def read(self) -> Marks:
        """Read in one go what every message must have; return what tells it from others.

        Raises BadMessage for what is not there or cannot be read.
        """
        headers = self.headers
        try:
            call_id, via = headers["Call-ID"][0], headers["Via"][0]
            from_, to, cseq = headers["From"][0], headers["To"][0], headers["CSeq"][0]
        except KeyError as missing:
            raise BadMessage(f"{missing.args[0]} is missing") from None
        if not call_id:
            raise BadMessage("Call-ID is empty")
        before, _, after = via.partition(";")
        plain = USUAL_VIA_PARAMS.fullmatch(after)
        if plain is not None and "," not in before:
            branch, sent_by = plain[2], parse_sent_by(before)[3]
        else:
            plain = None  # what it matched may be of a Via behind the topmost
            self._via = top = parse_via(split_commas(via)[0] if "," in via else via)
            branch, sent_by = top.branch, top.sent_by
        from_tag, to_tag, found = tag_of(from_) or "", tag_of(to), parse_cseq(cseq)
        self.marks = marks = Marks(
            call_id,
            branch,
            sent_by,
            from_,
            from_tag,
            to_tag,
            found.number,
            found.method,
            plain is not None,
        )
        return marks

    def mark(self, branch: str) -> None:
        """Note the marks of a request of ours: its responses are compared with them."""
        have = self.headers
        call_id, from_, cseq = have["Call-ID"][0], have["From"][0], parse_cseq(have["CSeq"][0])
        from_tag, to_tag = tag_of(from_) or "", tag_of(have["To"][0])
        self.marks = Marks(
            call_id, branch, "", from_, from_tag, to_tag, cseq.number, cseq.method, True
        )

    @property
    def call_id(self) -> str:
        return self._required("Call-ID")

    @property
    def via(self) -> Via:
        """The topmost Via."""
        if self._via is None:
            self._via = parse_via(split_commas(self._required("Via"))[0])
        return self._via

    @property
    def from_(self) -> Address:
        if self._from is None:
            self._from = parse_address(self._required("From"))
        return self._from

    @property
    def to(self) -> Address:
        if self._to is None:
            self._to = parse_address(self._required("To"))
        return self._to

    @property
    def cseq(self) -> CSeq:
        if self._cseq is None:
            self._cseq = parse_cseq(self._required("CSeq"))
        return self._cseq

    @property
    def contact(self) -> Address | None:
        """The one Contact of a dialog; None where there is none or several."""
        if self._contact is None and "Contact" in self.headers:
            rows = self.headers["Contact"]
            values = rows if len(rows) == 1 and "," not in rows[0] else self.values("Contact")
            if len(values) == 1 and values[0] not in ("*", ""):
                self._contact = parse_address(values[0])
        return self._contact

    @property
    def content_type(self) -> str:
        """Media type in lower case without parameters; empty without a Content-Type."""
        return (self.first("Content-Type") or "").partition(";")[0].strip().lower()

    def number(self, name: str, most: int) -> int | None:
        """Return a field's whole number, None without the field. Raises BadMessage above `most`."""
        values = self.headers.get(name)
        if not values:
            return None
        number = parse_number(values[0])
        if number is None or number > most:
            raise BadMessage(f"{name} is no number from 0 to {most}")
        return number

    def _required(self, name: str) -> str:
        values = self.headers.get(name)
        if not values:
            raise BadMessage(f"{name} is missing")
        return values[0]

    def _start_line(self) -> str:
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Write the message; Content-Length is counted here (RFC 3261 20.14)."""
        fields = "\r\n".join(
            [f"{name}: {value}" for name, values in self.headers.items() for value in values]
        )
        text = f"{self._start_line()}\r\n{fields}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        return text.encode("utf-8", "surrogateescape") + self.body

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield header fields one by one."""
        for name, values in self.headers.items():
            for value in values:
                yield name, value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.to_bytes() == other.to_bytes()

    __hash__ = object.__hash__


class Request(Message, Struct, eq=False, gc=False):
    """RFC 3261 7.1."""

    method: str
    uri: str
    headers: Headers
    body: bytes = b""
    version: str = "SIP/2.0"
    marks: Marks = UNREAD
    is_usual: bool = False
    _via: Via | None = None
    _from: Address | None = None
    _to: Address | None = None
    _contact: Address | None = None
    _cseq: CSeq | None = None

    def _start_line(self) -> str:
        return f"{self.method} {self.uri} {self.version}"

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri}>"


class Response(Message, Struct, eq=False, gc=False):
    """RFC 3261 7.2. `phrase` is None for the usual one of its status."""

    status: int
    headers: Headers
    body: bytes = b""
    phrase: str | None = None
    marks: Marks = UNREAD
    is_usual: bool = False
    _via: Via | None = None
    _from: Address | None = None
    _to: Address | None = None
    _contact: Address | None = None
    _cseq: CSeq | None = None

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return reason_of(self.status) if self.phrase is None else self.phrase

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason}>"


NO_REQUEST = Request("", "", {})  # in the place of one that has been let go


_COPIED = ("Via", "From", "To", "Call-ID", "CSeq")


def response_to(request: Request, status: int, to_tag: str | None = None) -> Response:
    """Begin a response (RFC 3261 8.2.6.2): Via, From, To, Call-ID, CSeq, Record-Route copied.

    `to_tag` goes to To unless the request has one already. 100 carries Timestamp back (8.2.6.1).
    """
    have = request.headers
    try:
        headers: Headers = {
            "Via": have["Via"],
            "From": have["From"],
            "To": have["To"],
            "Call-ID": have["Call-ID"],
            "CSeq": have["CSeq"],
        }
    except KeyError:  # a broken request is answered all the same
        headers = {name: have[name] for name in _COPIED if name in have}
    if to_tag is not None and "To" in headers and not _has_tag(request):
        headers["To"] = [f"{headers['To'][0]};tag={to_tag}"]
    if 100 < status < 300 and "Record-Route" in have:
        headers["Record-Route"] = have["Record-Route"]
    if status == 100 and "Timestamp" in have:
        headers["Timestamp"] = have["Timestamp"]
    return Response(status, headers)


def _has_tag(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except BadMessage:  # it is answered all the same, its To copied as it is
        return False
