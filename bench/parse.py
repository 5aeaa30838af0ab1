"""What a message costs in the parser and the writer: microseconds of CPU, in this process alone."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

from bench.report import Chart, Report
from bench.stats import spread
from sipcore.message.message import Request, response_to
from sipcore.message.parse import parse, validate
from sipcore.message.sdp import parse_sdp

ROUNDS = 9  # each measures every case once, so that a disturbance meets all alike
BATCH = 2000
VARIANTS = 500

SDP = b"\r\n".join(
    (
        b"v=0",
        b"o=phone 53655765 2353687637 IN IP4 192.0.2.10",
        b"s=-",
        b"c=IN IP4 192.0.2.10",
        b"t=0 0",
        b"m=audio 11780 RTP/AVP 8 0 18 101",
        b"a=rtpmap:8 PCMA/8000",
        b"a=rtpmap:0 PCMU/8000",
        b"a=rtpmap:18 G729/8000",
        b"a=fmtp:18 annexb=no",
        b"a=rtpmap:101 telephone-event/8000",
        b"a=fmtp:101 0-15",
        b"a=ptime:20",
        b"a=sendrecv",
        b"",
    )
)
DIGEST = (
    b'Authorization: Digest username="8001",realm="sipcore",nonce="6921a3b05f0c9a3e0123456789abcdef'
    b'0123456789abcdef",uri="sip:acme.example",response="0123456789abcdef0123456789abcdef",'
    b'algorithm=MD5,cnonce="6b8b4567",qop=auth,nc=00000001'
)
VIA = b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-21173-1-3"


def message(start: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """Put a message together."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((start, *fields, length, b"", b"")) + body


_DIALOG = (
    b'From: "Front desk" <sip:8001@acme.example>;tag=21173p1',
    b"Call-ID: 1-21173@192.0.2.10",
)
INVITE = message(
    b"INVITE sip:13800138000@acme.example SIP/2.0",
    VIA,
    b"Max-Forwards: 70",
    *_DIALOG,
    b"To: <sip:13800138000@acme.example>",
    b"CSeq: 2 INVITE",
    b"Contact: <sip:8001@192.0.2.10:5060>",
    DIGEST,
    b"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE",
    b"Supported: replaces, timer",
    b"User-Agent: phone/2.1",
    b"Content-Type: application/sdp",
    body=SDP,
)
OK = message(
    b"SIP/2.0 200 OK",
    VIA + b";received=192.0.2.10",
    *_DIALOG,
    b"To: <sip:13800138000@acme.example>;tag=7f3a",
    b"CSeq: 2 INVITE",
    b"Contact: <sip:192.0.2.1:5060>",
    b"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS",
    b"Content-Type: application/sdp",
    body=SDP,
)
REGISTER = message(
    b"REGISTER sip:acme.example SIP/2.0",
    VIA,
    b"Max-Forwards: 70",
    *_DIALOG,
    b"To: <sip:8001@acme.example>",
    b"CSeq: 2 REGISTER",
    b"Contact: <sip:8001@192.0.2.10:5060>",
    DIGEST,
    b"Expires: 3600",
    b"User-Agent: phone/2.1",
)
MESSAGES = {"INVITE": INVITE, "200": OK, "REGISTER": REGISTER}


def variants(data: bytes, count: int = VARIANTS) -> list[bytes]:
    """Return messages of so many calls: branch, tag, Call-ID and user differ, so no cache helps."""
    return [
        data.replace(b"21173", b"%05d" % one).replace(b"8001", b"%04d" % one)
        for one in range(1000, 1000 + count)
    ]


def cases() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; each call of a case takes one message."""
    found: dict[str, Callable[[], object]] = {}
    for name, data in MESSAGES.items():
        mine = variants(data)
        found[f"{name}: parse"] = partial(_each, parse, cycle(mine))
        found[f"{name}: parse and validate"] = partial(_each, _checked, cycle(mine))
        requests = [one for one in map(parse, mine) if isinstance(one, Request)]
        if requests:
            found[f"{name}: response_to and to_bytes"] = partial(_each, _answered, cycle(requests))
    found["SDP: parse"] = partial(_each, parse_sdp, cycle([SDP]))
    return found


def _each(act: Callable[[Any], object], messages: Iterator[Any]) -> None:
    act(next(messages))


def _checked(data: bytes) -> None:
    validate(parse(data))


def _answered(request: Request) -> bytes:
    return response_to(request, 200, "7f3a").to_bytes()


def measure(act: Callable[[], object], batch: int = BATCH) -> float:
    """Return microseconds of CPU of one call."""
    before = time.process_time_ns()
    for _ in range(batch):
        act()
    return (time.process_time_ns() - before) / 1000 / batch


def run(core: int, rounds: int = ROUNDS, batch: int = BATCH) -> Report:
    """Measure all cases in turn, several times; report medians."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        every = cases()
        seen: dict[str, list[float]] = {name: [] for name in every}
        for _ in range(rounds):
            for name, act in every.items():
                seen[name].append(measure(act, batch))
    finally:
        os.sched_setaffinity(0, before)
    report = Report("parse", rows=[("microseconds of CPU a message", "median (least to most)")])
    lines = {
        name: [(float(at), us) for at, us in enumerate(them, 1)] for name, them in seen.items()
    }
    report.charts.append(Chart("parse: CPU of a message, by round", "round", "us", lines))
    for name, values in seen.items():
        found = spread(values)
        report.figures[name] = found.median
        report.rows.append((name, f"{found.median:6.1f}  ({found.least:.1f} to {found.most:.1f})"))
    return report
