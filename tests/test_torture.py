"""RFC 4475 and RFC 5118: every torture message through a whole node, and what it must be answered.

`accepted` stands for a message that passed the parser and the checks of RFC 3261 8.2: the node asks
an INVITE or a REGISTER of a stranger to sign in (401: authentication comes first, 8.2), and answers
what it can without knowing who asks (200, 481, 501).
"""

import random
from pathlib import Path

import pytest
from msgspec import Struct

from sipcore.message.flow import Flow
from sipcore.message.message import Response
from sipcore.message.parse import parse
from tests.fuzz.mutants import mutilated, torture
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.world import NODE, PBX, World, world

FOLDER = Path(__file__).parent / "data" / "torture"
STRANGER: Place = ("198.51.100.7", 5060)
VIA_PORTS = (5050, 6050, 19823)  # where some of the messages want their answers


class Case(Struct, frozen=True):
    """One file: the status that it is answered, 0 for silence, and who says so."""

    file: str
    status: int
    section: str
    why: str


RFC4475 = (
    Case("wsinv", 481, "3.1.1.1", "accepted; its To tag names a dialog that is not here"),
    Case("intmeth", 501, "3.1.1.2", "accepted; nobody knows the method"),
    Case("esc01", 401, "3.1.1.3", "accepted; escapes are read, once"),
    Case("escnull", 401, "3.1.1.4", "accepted; escaped zero bytes in a user part"),
    Case("esc02", 501, "3.1.1.5", "accepted; a per cent sign in a method is no escape"),
    Case("lwsdisp", 200, "3.1.1.6", "accepted; no space before <"),
    Case("longreq", 401, "3.1.1.7", "accepted; long values"),
    Case("dblreq", 401, "3.1.1.8", "accepted; what follows the first request is ignored"),
    Case("semiuri", 200, "3.1.1.9", "accepted; semicolons in the user part"),
    Case("transports", 200, "3.1.1.10", "accepted; transports that nobody knows"),
    Case("mpart01", 401, "3.1.1.11", "accepted; a body of two parts, one of them signed"),
    Case("unreason", 0, "3.1.1.12", "accepted; an answer to nothing that was asked"),
    Case("noreason", 0, "3.1.1.13", "accepted; an answer to nothing that was asked"),
    Case("badinv01", 400, "3.1.2.1", "extraneous separators in Via and Contact"),
    Case("clerr", 400, "3.1.2.2", "Content-Length above what came"),
    Case("ncl", 400, "3.1.2.3", "negative Content-Length"),
    Case("scalar02", 400, "3.1.2.4", "CSeq, Max-Forwards and expires beyond their range"),
    Case("scalarlg", 0, "3.1.2.5", "a response with numbers beyond their range is discarded"),
    Case("quotbal", 400, "3.1.2.6", "a quoted-string that does not end"),
    Case("ltgtruri", 400, "3.1.2.7", "angle brackets around the Request-URI"),
    Case("lwsruri", 400, "3.1.2.8", "white space within the Request-URI"),
    Case("lwsstart", 400, "3.1.2.9", "two spaces in the request line"),
    Case("trws", 400, "3.1.2.10", "white space after the request line"),
    Case("escruri", 400, "3.1.2.11", "header fields in the Request-URI"),
    Case("baddate", 401, "3.1.2.12", "accepted; a Date that cannot be read may be ignored"),
    Case("regbadct", 400, "3.1.2.13", "a Contact with ? needs angle brackets"),
    Case("badaspec", 400, "3.1.2.14", "spaces within an addr-spec"),
    Case("baddn", 200, "3.1.2.15", "accepted; the missing quotes may be inferred"),
    Case("badvers", 505, "3.1.2.16", "a version that nobody knows"),
    Case("mismatch01", 400, "3.1.2.17", "CSeq names another method"),
    Case("mismatch02", 400, "3.1.2.18", "CSeq names another method, and nobody knows this one"),
    Case("bigcode", 0, "3.1.2.19", "a response with a status out of range is discarded"),
    Case("badbranch", 200, "3.2.1", "accepted; matched by RFC 2543's rules"),
    Case("insuf", 400, "3.3.1", "From, To and Call-ID are missing"),
    Case("unkscm", 416, "3.3.2", "a scheme that nobody knows"),
    Case("novelsc", 416, "3.3.3", "a scheme that is never accepted here"),
    Case("unksm2", 400, "3.3.4", "an address of record is a SIP URI"),
    Case("bext01", 420, "3.3.5", "extensions that nobody supports"),
    Case("invut", 415, "3.3.6", "a body of unknown type"),
    Case("regaut01", 401, "3.3.7", "credentials of an unknown scheme are none"),
    Case("multi01", 400, "3.3.8", "single fields that stand twice"),
    Case("mcl01", 400, "3.3.9", "two values of Content-Length"),
    Case("bcast", 0, "3.3.10", "a response with somebody else's Via is discarded"),
    Case("zeromf", 200, "3.3.11", "accepted; an endpoint answers though Max-Forwards is 0"),
    Case("cparam01", 401, "3.3.12", "accepted; the parameter is the header's"),
    Case("cparam02", 401, "3.3.13", "accepted; the parameter is the URI's"),
    Case("regescrt", 401, "3.3.14", "accepted; header fields in a Contact's URI"),
    Case("sdp01", 401, "3.3.15", "accepted: 401 comes before a look at Accept (RFC 3261 8.2)"),
    Case("inv2543", 401, "3.4.1", "accepted; an INVITE of RFC 2543's days"),
)

RFC5118 = (
    Case("ipv6-good", 401, "4.1", "accepted"),
    Case("ipv6-bad", 400, "4.2", "an IPv6 address without its brackets"),
    Case("port-ambiguous", 401, "4.3", "accepted; 5070 is part of the address"),
    Case("port-unambiguous", 401, "4.4", "accepted"),
    Case("via-received-param-with-delim", 481, "4.5", "accepted; a BYE in no dialog"),
    Case("via-received-param-no-delim", 200, "4.5", "accepted: be liberal with received"),
    Case("ipv6-in-sdp", 401, "4.6", "accepted"),
    Case("mult-ip-in-header", 481, "4.7", "accepted; a BYE in no dialog"),
    Case("mult-ip-in-sdp", 401, "4.8", "accepted"),
    Case("ipv4-mapped-ipv6", 401, "4.9", "accepted"),
    Case("ipv6-bug-abnf-3-colons", 200, "4.10", "accepted: what RFC 3261's grammar allowed"),
    Case("ipv6-correct-abnf-2-colons", 200, "4.10", "accepted"),
)

ALL = [*(("rfc4475", case) for case in RFC4475), *(("rfc5118", case) for case in RFC5118)]
IDS = [case.file for _, case in ALL]


class Host:
    """Sends one file and keeps what comes back, at the source's port and at those of the Vias."""

    def __init__(self, here: World, place: Place) -> None:
        self.answers: list[tuple[int, Response]] = []
        self._net = here.net
        self._place = place
        for port in {place[1], STRANGER[1], *VIA_PORTS}:
            here.net.open((place[0], port), self._receive)

    def send(self, rfc: str, case: Case) -> bytes:
        data = (FOLDER / rfc / f"{case.file}.dat").read_bytes()
        self._net.send(self._place, NODE, data)
        return data

    def _receive(self, data: bytes, flow: Flow) -> None:
        answer = parse(data)
        assert isinstance(answer, Response)
        self.answers.append((flow.local_port, answer))


def test_every_file_has_its_outcome() -> None:
    files = {(path.parent.name, path.stem) for path in FOLDER.rglob("*.dat")}
    assert files == {(rfc, case.file) for rfc, case in ALL}
    assert len(files) == 61


@pytest.mark.parametrize(("rfc", "case"), ALL, ids=IDS)
def test_a_strangers_message_is_answered_as_the_rfc_has_it(
    rfc: str, case: Case, tmp_path: Path
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            host = Host(here, STRANGER)
            data = host.send(rfc, case)
            await here.pass_time(41)
            expected = [] if case.status == 0 else [case.status]
            assert [answer.status for _, answer in host.answers] == expected, case.why
            for port, answer in host.answers:
                assert port == _wanted_port(data)
                assert len(answer.values("Via")) == _via_count(data)
            assert here.bugs() == 0
            assert here.leftovers() == {}

    simulate(main())


@pytest.mark.parametrize(("rfc", "case"), ALL, ids=IDS)
def test_the_same_from_a_trunk_that_needs_no_password_ends_too(
    rfc: str, case: Case, tmp_path: Path
) -> None:
    """What 401 stopped above now reaches the call, and is refused there."""

    async def main() -> None:
        async with world(tmp_path) as here:
            host = Host(here, PBX)
            data = host.send(rfc, case)
            await here.pass_time(401)
            finals = {answer.status for _, answer in host.answers if answer.status >= 200}
            assert len(finals) == (case.status != 0), case.why
            if case.status != 401:
                assert finals == ({case.status} - {0})
            elif data.startswith(b"INVITE"):
                assert finals != {401}
                assert all(400 <= status < 700 and status != 500 for status in finals)
            assert here.bugs() == 0
            assert here.leftovers() == {}

    simulate(main())


@pytest.mark.parametrize("place", [STRANGER, PBX], ids=["stranger", "trunk"])
def test_mutilated_messages_meet_no_bug_and_leave_nothing(place: Place, tmp_path: Path) -> None:
    async def main() -> None:
        dice = random.Random(4475)
        files = torture()
        async with world(tmp_path) as here:
            Host(here, place)
            for _ in range(600):
                here.net.send(place, NODE, mutilated(dice.choice(files), dice))
                await here.pass_time(0.01)
            await here.pass_time(401)
            assert here.bugs() == 0
            assert here.leftovers() == {}

    simulate(main())


def test_a_refused_extension_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            host = Host(here, STRANGER)
            host.send("rfc4475", next(case for case in RFC4475 if case.file == "bext01"))
            await here.pass_time(1)
            ((_, answer),) = host.answers
            required = ["nothingsupportsthis", "nothingsupportsthiseither"]  # in any case: 7.3.1
            assert answer.tokens("Unsupported")[:2] == required

    simulate(main())


def _wanted_port(data: bytes) -> int:
    """RFC 3261 18.2.2: the port of the topmost Via; the source's where it cannot be read."""
    wanted = {
        b"192.0.2.59:5050": 5050,
        b"[2001:db8::9:1]:6050": 6050,
        b"[::ffff:192.0.2.10]:19823": 19823,
    }
    return next((port for text, port in wanted.items() if text in data), STRANGER[1])


def _via_count(data: bytes) -> int:
    """Count the Vias of a request: all come back, in order (8.2.6.2)."""
    return len(parse(data).values("Via"))
