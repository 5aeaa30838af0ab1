"""Responses as bytes. What every answer to one request repeats is written once for all of them."""

from msgspec import Struct

from sipcore.message.message import Headers, Request
from sipcore.message.status import REASONS, reason_of


class Echo(Struct, frozen=True, gc=False):
    """What the answers to a request copy from it (RFC 3261 8.2.6.2), as text.

    `rows` are Via, From, Call-ID and CSeq. `to` has our tag, `asked_to` has not: 100 goes without.
    """

    rows: str
    to: str
    asked_to: str
    record_route: str
    timestamp: str


def echo_of(request: Request, tag: str) -> Echo:
    """Write down what the answers to a valid request repeat. A tag that To has already stays."""
    have = request.headers
    vias = have["Via"]
    via = vias[0] if len(vias) == 1 else "\r\nVia: ".join(vias)
    to = have["To"][0]
    return Echo(
        f"Via: {via}\r\nFrom: {have['From'][0]}\r\nCall-ID: {have['Call-ID'][0]}\r\n"
        f"CSeq: {have['CSeq'][0]}\r\n",
        f"{to};tag={tag}" if request.marks.to_tag is None else to,
        to,
        _rows("Record-Route", have["Record-Route"]) if "Record-Route" in have else "",
        _rows("Timestamp", have["Timestamp"]) if "Timestamp" in have else "",
    )


def write_response(
    echo: Echo, status: int, headers: Headers | None = None, body: bytes = b""
) -> bytes:
    """Write a response; `headers` must name none of the fields that are copied.

    Record-Route goes into what may make a dialog (12.1.1), Timestamp into 100 (8.2.6.1).
    """
    more = write_rows(headers) if headers else ""
    if status == 100:
        copied = f"{echo.rows}To: {echo.asked_to}\r\n{echo.timestamp}"
    elif status < 300:
        copied = f"{echo.rows}To: {echo.to}\r\n{echo.record_route}"
    else:
        copied = f"{echo.rows}To: {echo.to}\r\n"
    phrase = REASONS.get(status) or reason_of(status)
    text = f"SIP/2.0 {status} {phrase}\r\n{copied}{more}Content-Length: {len(body)}\r\n\r\n"
    return text.encode("utf-8", "surrogateescape") + body


def write_answer(request: Request, status: int, tag: str, rows: str) -> bytes:
    """Write a final response without a body to a valid request outside any dialog, once only.

    `rows` is what it says beside the fields that are copied, as write_rows() makes it.
    """
    have = request.headers
    vias = have["Via"]
    via = vias[0] if len(vias) == 1 else "\r\nVia: ".join(vias)
    to = f"{have['To'][0]};tag={tag}" if request.marks.to_tag is None else have["To"][0]
    text = (
        f"SIP/2.0 {status} {reason_of(status)}\r\nVia: {via}\r\nFrom: {have['From'][0]}\r\n"
        f"To: {to}\r\nCall-ID: {have['Call-ID'][0]}\r\nCSeq: {have['CSeq'][0]}\r\n"
        f"{rows}Content-Length: 0\r\n\r\n"
    )
    return text.encode("utf-8", "surrogateescape")


def write_rows(headers: Headers) -> str:
    """Write fields as they stand in a message."""
    text = ""
    for name, values in headers.items():
        for value in values:
            text += f"{name}: {value}\r\n"
    return text


def _rows(name: str, values: list[str]) -> str:
    if len(values) == 1:
        return f"{name}: {values[0]}\r\n"
    return "".join([f"{name}: {value}\r\n" for value in values])
