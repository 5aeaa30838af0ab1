"""Requests from an address that is nobody's, as bytes, and what comes back."""

from sipcore.message.flow import Flow
from tests.sim.world import NODE, World


def raw(method: str, user: str, more: str = "") -> bytes:
    me = f"<sip:{user}@acme.example>"
    to = me if method == "REGISTER" else "<sip:8002@acme.example>"
    return (
        f"{method} sip:acme.example SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bK1;rport\r\n"
        f"From: {me};tag=1\r\nTo: {to}\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n"
        f"Contact: <sip:x@203.0.113.9>\r\n{more}Content-Length: 0\r\n\r\n"
    ).encode()


def ask_raw(
    here: World, data: bytes, address: str = "203.0.113.9", wire: str = "udp"
) -> list[bytes]:
    before = len(here.net.sent)
    here.node.endpoint.receive(data, Flow(wire, *NODE, address, 5060, int(wire != "udp")))
    here.node.endpoint.flush()
    return [packet.data for packet in here.net.sent[before:]]
