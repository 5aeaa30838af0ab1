"""Text messages of phones: how one is written, and where it is kept."""

from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from tests.sim.phone import Phone

TEXT: Headers = {"Content-Type": ["text/plain;charset=UTF-8"]}


def message(phone: Phone, number: str, text: bytes = b"hello", **headers: list[str]) -> Request:
    request = phone.new_request("MESSAGE", f"sip:{number}@{phone.domain}", TEXT | headers)
    del request.headers["Contact"]
    request.body = text
    return request


def inbox(phone: Phone, status: int = 200) -> list[Request]:
    """Let a phone take messages, or refuse them; return where they are kept."""
    got: list[Request] = []

    def arrive(request: Request, flow: Flow) -> None:
        got.append(request)
        phone.endpoint.reply_statelessly(request, flow, status)

    phone.endpoint.on_arrival = arrive
    return got
