"""What leaves the node, whatever comes in: fields of the table, nothing of the other side's."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipcore.call.allowed import CARRIED, REQUESTS, RESPONSES
from sipcore.call.leg import ALLOW, ALLOW_CARRIERS
from sipcore.config import Config
from sipcore.message.headers import NAMES
from sipcore.message.message import Request
from sipcore.message.parse import parse
from tests.sim.loop import simulate
from tests.sim.net import Net, Packet, Place
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.world import CARRIER_A, NODE, OUTSIDE, PBX, World, world
from tests.store.files import DEMO

LEAK = b"leak"
CALLER: Place = ("10.77.0.7", 5070)
CALLEE: Place = ("10.88.0.8", 5080)
KINDS = {CALLER: "extension", CALLEE: "extension", CARRIER_A: "carrier", PBX: "trunk"}
PAIRS = [  # who calls, and what is dialled
    (CALLER, "8002", CALLEE),
    (CALLER, OUTSIDE, CARRIER_A),
    (CARRIER_A, "02136413501", CALLER),
    (CARRIER_A, "02136413599", PBX),
    (PBX, OUTSIDE, CARRIER_A),
]
# What a message has already, or what would rightly have it refused before it comes to a call.
LEFT_ALONE = {
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Route",
    "Content-Type", "Content-Encoding", "Require", "Proxy-Require", "Record-Route", "Expires",
    "Min-Expires", "Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate",
    "Session-Expires", "Min-SE", "RSeq", "RAck", "Replaces", "Path", "Refer-To", "Event",
    "Subscription-State", "Supported", "Accept", "Retry-After", "Date", "Timestamp", "MIME-Version",
}  # fmt: skip
PASSED = {name for names in CARRIED.values() for name in names}
ADDRESS = '"leak" <sip:02100009999@leak.internal;leak=1>'  # a number may be shown, no more

known = st.sampled_from(sorted(set(NAMES) - LEFT_ALONE - PASSED))
unknown = st.from_regex(r"X-[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
values = st.sampled_from([ADDRESS, "leak.internal", "leak;leak=10.77.0.7", 'leak;text="leak"'])
fields = st.lists(st.tuples(known | unknown, values), max_size=12)
acts = st.lists(
    st.sampled_from(["INVITE", "UPDATE", "INFO", "MESSAGE", "REFER", "OPTIONS", "SUBSCRIBE"]),
    max_size=6,
)
final = st.sampled_from([200, 200, 200, 302, 404, 486, 488, 503, 603])


class LoudNet(Net):
    """A net on which everybody but the node says more than is needed."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, str]] = []

    def send(self, source: Place, to: Place, data: bytes) -> None:
        if source != NODE and data.strip():
            data = self._loud(data)
        super().send(source, to, data)

    def _loud(self, data: bytes) -> bytes:
        first, _, rest = data.partition(b"\r\n")
        if first.startswith((b"SIP/2.0 4", b"SIP/2.0 5", b"SIP/2.0 6")):
            first = first[:11] + b" leak at leak.internal"
        more = b"".join(f"{name}: {value}\r\n".encode() for name, value in self.said)
        return first + b"\r\n" + more + rest


def body_of(phone: Phone) -> bytes:
    return sdp(phone.place).replace(b"s=-", b"s=leak").replace(b"o=-", b"o=leak")


async def party(here: World, place: Place) -> Phone:
    """Set up who stands at a place."""
    if place not in (CALLER, CALLEE):
        return here.carrier(place)
    user, password = {
        CALLER: ("8001", "front-desk-8001"),
        CALLEE: ("8002", "workshop-8002"),
    }[place]
    phone = here.phone(user, password, place)
    assert (await phone.register()).status == 200
    return phone


async def converse(net: LoudNet, folder: Path, pair: int, status: int, told: list[str]) -> None:
    """Let one call be made on a loud net, with all that is said within it."""
    at, dialled, to = PAIRS[pair]
    here = World(folder, net, DEMO, Config())
    await here.start()
    caller, callee = await party(here, at), await party(here, to)

    def rings(talk: Talk) -> None:
        callee.ring(talk, 183, body_of(callee))
        if status == 200:
            callee.pick_up(talk)
        else:
            where = {"Contact": ["<sip:8099@leak.internal>"]} if status == 302 else {}
            callee.refuse(talk, status, {"Reason": ['Q.850;cause=21;text="leak"'], **where})

    callee.on_invite = rings
    await caller.ask(caller.new_request("MESSAGE", f"sip:{dialled}@acme.example"))
    talk = caller.call(dialled, {"Subject": ["leak"]}, body_of(caller))
    await here.pass_time(3)
    for index, method in enumerate(told):
        one = (talk, callee.calls[-1])[index % 2] if callee.calls else talk
        if one.dialog is None or one.is_over:
            break
        body = body_of(one.phone) if method == "INVITE" else b""
        headers = {"Refer-To": ["<sip:8099@leak.internal>"]} if method == "REFER" else None
        one.request(method, body, headers)
        await here.pass_time(2)
    talk.hang_up()
    await here.pass_time(40)
    assert here.bugs() == 0
    await here.stop()


def of_the_other(packet: Packet, pair: int, net: LoudNet) -> set[bytes]:
    """Return what may not be told to the receiver of a packet: what names the other side."""
    at, _, to = PAIRS[pair]
    other = at if packet.to == to else to
    secrets = {LEAK, other[0].encode(), str(other[1]).encode() + b";", b":%d>" % other[1]}
    for sent in net.sent:
        if sent.source == other and sent.data.strip():
            message = parse(sent.data)
            if isinstance(message, Request) and message.method == "INVITE":
                secrets.add(message.call_id.encode())
                secrets.add((message.from_.tag or "").encode())
                secrets.add((message.via.branch or "").encode())
    return secrets


NOT_FOR_CARRIERS = {"REFER", "REFER,", "REGISTER", "REGISTER,", "SUBSCRIBE", "SUBSCRIBE,"}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, len(PAIRS) - 1), fields, final, acts)
def test_only_fields_of_the_table_leave_and_nothing_names_the_other_side(
    tmp_path_factory: pytest.TempPathFactory,
    pair: int,
    said: list[tuple[str, str]],
    status: int,
    told: list[str],
) -> None:
    async def main() -> None:
        net = LoudNet()
        net.said = said
        await converse(net, tmp_path_factory.mktemp("node"), pair, status, told)
        out = [one for one in net.sent if one.source == NODE]
        assert out
        for packet in out:
            message = parse(packet.data)
            table = REQUESTS if isinstance(message, Request) else RESPONSES
            assert set(message.headers) <= table[KINDS[packet.to]], packet.data
            if KINDS[packet.to] == "carrier":
                offered = {one for row in message.headers.get("Allow", ()) for one in row.split()}
                assert not offered & NOT_FOR_CARRIERS, packet.data
            for secret in of_the_other(packet, pair, net):
                assert secret not in packet.data, (secret, packet.data)

    simulate(main())


def test_each_kind_of_peer_is_offered_the_methods_that_it_may_use(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier, phone = here.carrier(), await here.desk_phone()
            out = phone.call(OUTSIDE)
            await out.answered.wait()
            invite = carrier.calls[0].requests[0]
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            into = carrier.call("02136413501")
            await into.answered.wait()
            into.request("OPTIONS")
            asked = await carrier.ask(carrier.new_request("OPTIONS", "sip:10.0.0.1"))
            refused = await carrier.ask(carrier.new_request("PUBLISH", "sip:10.0.0.1"))
            for told in (invite, into.answers[-1], asked, refused):
                assert told.headers["Allow"] == [ALLOW_CARRIERS]
            known = await phone.ask(phone.new_request("OPTIONS", "sip:10.0.0.1"))
            for said in (out.answers[-1], phone.calls[-1].requests[0], known):
                assert said.headers["Allow"] == [ALLOW]
                assert "REFER" in said.headers["Allow"][0]
            out.hang_up()
            into.hang_up()
            await here.pass_time(1)

    simulate(main())
