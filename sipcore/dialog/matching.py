"""Which transaction a message belongs to (RFC 3261 17.1.3, 17.2.3), and the requests that follow
from one already sent: ACK and CANCEL."""

import contextlib
import zlib

from msgspec.structs import replace

from sipcore.errors import BadMessage
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Message, Request, Response, response_to
from sipcore.message.values import split_commas

COOKIE = "z9hG4bK"


def server_key(request: Request) -> tuple[str, ...]:
    """Return the key under which a request's server transaction is kept.

    ACK has its INVITE's key. Without the magic cookie, or with nothing behind it (RFC 4475
    badbranch), the fields of RFC 2543 take the branch's place.
    """
    marks = request.marks
    branch, method = marks.branch, marks.method
    if method == "ACK":
        method = "INVITE"
    if len(branch) > 7 and branch.startswith(COOKIE):
        return (branch, marks.sent_by, method)
    via = request.via.to_text()
    return (request.uri, marks.from_tag, marks.call_id, str(marks.number), via, method)


def cancelled_key(cancel: Request) -> tuple[str, ...]:
    """Return the key of the INVITE that a CANCEL means (RFC 3261 9.2)."""
    return (*server_key(cancel)[:-1], "INVITE")


def merge_key(request: Request) -> tuple[str, ...]:
    """Return what two copies of one request share that came by different paths (8.2.2.2)."""
    marks = request.marks
    return (marks.from_tag, marks.call_id, str(marks.number), marks.method)


def ack_for(invite: Request, response: Response) -> Request:
    """Build the ACK for a final response that is no 2xx (RFC 3261 17.1.1.3)."""
    headers = _copied(invite, ("Via", "From", "Call-ID", "Max-Forwards", "Route"))
    headers["To"] = response.headers["To"]
    headers["CSeq"] = [f"{invite.cseq.number} ACK"]
    return Request("ACK", invite.uri, headers)


def cancel_for(invite: Request, reason: str | None) -> Request:
    """Build the CANCEL of an INVITE (RFC 3261 9.1), with a Reason if there is one (RFC 3326)."""
    headers = _copied(invite, ("Via", "From", "To", "Call-ID", "Max-Forwards", "Route"))
    headers["CSeq"] = [f"{invite.cseq.number} CANCEL"]
    if reason:
        headers["Reason"] = [reason]
    return Request("CANCEL", invite.uri, headers)


def _copied(request: Request, names: tuple[str, ...]) -> Headers:
    return {name: request.headers[name] for name in names if name in request.headers}


def stamp_via(request: Request, flow: Flow) -> None:
    """Note in the topmost Via where a request really came from (RFC 3261 18.2.1, RFC 3581 4)."""
    rows = request.headers["Via"]
    text = rows[0]
    if request.marks.is_plain:  # nearly always
        before, _, rest = text.partition(";rport")
        rows[0] = f"{before};rport={flow.remote_port}{rest};received={flow.remote_address}"
        return
    via = request.via
    params = dict(via.params)
    if "rport" in params:
        params["rport"] = str(flow.remote_port)
        params["received"] = flow.remote_address
    elif _plain(via.host) != flow.remote_address:
        params["received"] = flow.remote_address
    else:
        return
    stamped = replace(via, params=params).to_text()
    rows[0] = ", ".join([stamped, *split_commas(text)[1:]])


def reply_flow(message: Message, flow: Flow) -> Flow:
    """Return where the response goes (RFC 3261 18.2.2): back on a stream, to the source with
    rport, else to the source's address at the port that Via names."""
    if message.marks.is_plain or flow.is_reliable:
        return flow
    via = message.via
    if "rport" in via.params:
        return flow
    port = via.port or 5060
    if port == flow.remote_port:
        return flow
    return Flow(flow.transport, flow.local_address, flow.local_port, flow.remote_address, port)


def refusal_of(request: Request, flow: Flow, status: int) -> tuple[Response, Flow]:
    """Begin the answer to a broken request, and tell where it goes.

    An unreadable Via goes back as it came, to where it came from. Raises BadMessage without a Via
    or a CSeq to copy: nobody could tell what the answer answers.
    """
    have = request.headers
    if "Via" not in have or not have.get("CSeq", ["\x80"])[0].isascii():
        raise BadMessage("no Via or no CSeq to answer to")
    with contextlib.suppress(BadMessage):
        stamp_via(request, flow)
        flow = reply_flow(request, flow)
    return response_to(request, status, f"{zlib.crc32(request.to_bytes()):08x}"), flow


def _plain(host: str) -> str:
    return host[1:-1] if host[:1] == "[" else host
