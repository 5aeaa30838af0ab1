"""A contact as it is kept: made and renewed by a REGISTER, and written into its answer.

Text and values alone: whose bindings there are the registrar knows.
"""

from sys import intern

from sipcore.call.wish import LEAST_EXPIRES_S, MOST_CHARS, Wish, expires_of
from sipcore.message.flow import Flow
from sipcore.message.message import Request
from sipcore.message.uri import Uri
from sipcore.message.values import quote
from sipcore.store.bindings import Binding

Owner = tuple[str, str]  # customer, user


def device_of(binding: Binding) -> str:
    """Return the device that has registered by flows (RFC 5626); "" for other contacts."""
    if not binding.instance:
        return ""
    instance, _, reg_id = binding.instance.rpartition("#")
    return instance if reg_id else ""


def is_replaced(one: Binding, wish: Wish) -> bool:
    """Tell whether a wish takes the place of a binding: the same device or the same URI (10.3)."""
    if wish.instance and wish.instance == one.instance:
        return True
    if wish.is_outbound and device_of(one):  # two flows of a device may well have one URI
        return False
    return one.contact == wish.contact or wish.uri.is_same(Uri.parse(one.contact))


def row_of(one: Binding, now: float) -> str:
    """Write a binding as the answer has it."""
    row = f"<{one.contact}>;expires={round(one.expires_at - now)}"
    if one.q != 1.0:
        row += f";q={one.q:.3g}"
    if device := device_of(one):
        row += f";+sip.instance={quote(device)};reg-id={one.instance.rpartition('#')[2]}"
    return row


def bind(owner: Owner, wish: Wish, request: Request, flow: Flow, at: tuple[float, str]) -> Binding:
    """Make a binding. `at`: now, and its path."""
    now, path = at
    return Binding(
        owner[0],
        owner[1],
        wish.contact,
        wish.instance,
        flow.transport,
        intern(flow.local_address),
        flow.local_port,
        intern(flow.remote_address),
        flow.remote_port,
        request.marks.call_id,
        request.marks.number,
        now + wish.expires_s,
        wish.q,
        intern((request.first("User-Agent") or "")[:128]),
        path,
        flow.connection,
    )


def renewed(one: Binding, request: Request, flow: Flow, now: float) -> Binding | None:
    """Return a binding as it will be, where a REGISTER asks for the very same again, from the same
    place and with nothing said beside it; None where it asks for anything else, or cannot have it.

    Raises BadMessage.
    """
    headers = request.headers
    rows = headers.get("Contact", ())
    if len(rows) != 1 or rows[0] != f"<{one.contact}>" or one.instance or one.q != 1.0:
        return None
    if one.path or "Path" in headers or "Require" in headers or "bnc" in one.contact:
        return None
    if (one.remote_address, one.local_address) != (flow.remote_address, flow.local_address):
        return None
    call_id, number = request.marks.call_id, request.marks.number
    is_late = call_id == one.call_id and number <= one.cseq
    expires_s = expires_of(request)
    if is_late or expires_s < LEAST_EXPIRES_S or now >= one.expires_at:
        return None
    if len(call_id) > MOST_CHARS:
        return None
    agent = headers["User-Agent"][0][:128] if "User-Agent" in headers else ""
    return Binding(
        one.customer, one.extension, one.contact, "", flow.transport, one.local_address,
        flow.local_port, one.remote_address, flow.remote_port, call_id, number, now + expires_s,
        1.0, one.user_agent if agent == one.user_agent else intern(agent), "", flow.connection,
    )  # fmt: skip
