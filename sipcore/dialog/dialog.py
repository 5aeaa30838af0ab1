"""A dialog: what both ends of a leg must remember to talk on (RFC 3261 12)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from sipcore.message.address import parse_address, uri_in
from sipcore.message.echo import write_rows
from sipcore.message.flow import Flow
from sipcore.message.message import UNREAD, Headers, Request, Response
from sipcore.message.uri import Uri

if TYPE_CHECKING:
    from sipcore.dialog.events import User

MAX_FORWARDS = 70


MOST_REQUESTS = 200  # of a peer within a dialog, in FILLED_S: ten keys a second are 100
FILLED_S = 10.0


class Dialog(Struct, eq=False, gc=False):
    """One side's view. Made by a response that has a To tag: early by 1xx, confirmed by 2xx.

    `flow` is the path by which the peer was last heard. `local` and `remote` are the From and To
    of our requests as text, tags included. The garbage collector does not look at it: it lets go
    of its user when it is ended.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    flow: Flow
    local_number: int = 0
    remote_number: int = -1  # none heard yet; 0 is a number (RFC 3261 12.1.2)
    route_set: Sequence[str] = ()
    peer_contact: str = ""
    is_confirmed: bool = False
    ack: tuple[int, bytes, Flow] | None = None  # CSeq number, ACK kept for repeated 2xx
    user: "User | None" = None
    left: int = MOST_REQUESTS
    filled_at: float = 0.0
    heard_rseq: int | None = None  # of the last reliable 18x (RFC 3262 4)

    @classmethod
    def of_server(cls, request: Request, local_tag: str, flow: Flow) -> "Dialog":
        """Begin as the one who was called (12.1.1)."""
        to, marks = request.headers["To"][0], request.marks
        local = f"{to};tag={local_tag}" if marks.to_tag is None else to
        dialog = cls(marks.call_id, local, marks.from_, local_tag, marks.from_tag, flow)
        dialog.remote_number = marks.number
        if "Record-Route" in request.headers:
            dialog.route_set = request.values("Record-Route")
        dialog.learn_target(request)
        if not dialog.peer_contact:
            dialog.peer_contact = str(request.from_.uri)  # who names no Contact (RFC 2543)
        return dialog

    @classmethod
    def of_client(cls, request: Request, response: Response, flow: Flow) -> "Dialog":
        """Begin as the one who calls (12.1.2)."""
        if request.marks is UNREAD:  # of another method than INVITE
            request.mark("")
        marks = request.marks
        remote, tag = response.headers["To"][0], response.marks.to_tag or ""
        dialog = cls(marks.call_id, marks.from_, remote, marks.from_tag, tag, flow)
        dialog.local_number = marks.number
        dialog.learn_route(response)
        dialog.learn_target(response)
        if not dialog.peer_contact:
            dialog.peer_contact = str(Uri.parse(request.uri))
        return dialog

    @classmethod
    def restored(
        cls, ends: tuple[str, str, str], number: int, target: str, route: Sequence[str], flow: Flow
    ) -> "Dialog":
        """Make the dialog anew that a dead process had: requests of ours can be sent in it.

        `ends` are Call-ID, local and remote; `number` is the last CSeq number of ours. Raises
        BadMessage.
        """
        call_id, local, remote = ends
        tags = (parse_address(local).tag or "", parse_address(remote).tag or "")
        dialog = cls(call_id, local, remote, *tags, flow)
        dialog.local_number = number
        dialog.peer_contact, dialog.route_set = target, list(route)
        dialog.is_confirmed = True
        return dialog

    @property
    def key(self) -> tuple[str, str]:
        return (self.local_tag, self.remote_tag)

    def learn_target(self, message: Request | Response) -> None:
        """Take the peer's Contact as remote target (12.2.1.2, 12.2.2). Raises BadMessage."""
        rows = message.headers.get("Contact")
        if rows is None:
            return
        if len(rows) == 1 and rows[0] and "," not in rows[0] and rows[0] != "*":
            self.peer_contact = uri_in(rows[0])
        elif (contact := message.contact) is not None:
            self.peer_contact = str(contact.uri)

    def takes(self, now: float) -> bool:
        """Take one of the requests that the peer may send in a while: each is kept for 32 s."""
        if self.left <= 0 and now - self.filled_at >= FILLED_S:
            self.left, self.filled_at = MOST_REQUESTS, now
        self.left -= 1
        return self.left >= 0

    def learn_route(self, response: Response) -> None:
        """Take the route set of a response to an INVITE of ours (12.1.2)."""
        if self.route_set or "Record-Route" in response.headers:
            self.route_set = response.values("Record-Route")[::-1]

    def accepts(self, number: int) -> bool:
        """Take a request's CSeq number if it is above the last one (12.2.2)."""
        if number <= self.remote_number:
            return False
        self.remote_number = number
        return True

    def request(self, method: str, extra: Headers | None = None, body: bytes = b"") -> Request:
        """Build a request within the dialog (12.2.1.1). Via is added when it is sent."""
        self.local_number += 1
        uri, route = self._way()
        headers: Headers = {
            "Via": [],
            "Max-Forwards": [str(MAX_FORWARDS)],
            "From": [self.local],
            "To": [self.remote],
            "Call-ID": [self.call_id],
            "CSeq": [f"{self.local_number} {method}"],
        }
        if route:
            headers["Route"] = list(route)
        if extra:
            headers.update(extra)
        return Request(method, uri, headers, body)

    def write_ack(self, number: int, via: str, extra: Headers | None, body: bytes) -> bytes:
        """Write the ACK for a 2xx: a request of its own with the INVITE's number (13.2.2.4)."""
        uri, route = self._way()
        more = write_rows(extra) if extra else ""
        if route:
            more += write_rows({"Route": list(route)})
        text = (
            f"ACK {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: {MAX_FORWARDS}\r\n"
            f"From: {self.local}\r\nTo: {self.remote}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {number} ACK\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        )
        return text.encode("utf-8", "surrogateescape") + body

    def _way(self) -> tuple[str, Sequence[str]]:
        """Return the Request-URI and Route of what is sent now (12.2.1.1)."""
        uri, route = self.peer_contact, self.route_set
        if route and "lr" not in (first := parse_address(route[0]).uri).params:
            # a strict router of RFC 2543 days
            return str(first), [*route[1:], f"<{uri}>"]
        return uri, route

    def next_hop(self) -> str:
        """Return the URI that the next request is sent to: the first route, else the target."""
        return str(parse_address(self.route_set[0]).uri) if self.route_set else self.peer_contact
