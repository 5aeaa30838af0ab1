"""Privacy (RFC 3323, 3325): hidden from phones and PBXs; a call out is never anonymous."""

from pathlib import Path

import pytest

from sipcore.message.diversion import diversion, forwards_of, history
from sipcore.message.message import Headers, Request
from sipcore.message.privacy import hides_number, wishes_of
from sipcore.message.uri import Uri
from tests.sim.loop import simulate
from tests.sim.talking import two_desks
from tests.sim.watching import Lamp
from tests.sim.world import OUTSIDE, world

ID: Headers = {"Privacy": ["id"]}


@pytest.mark.parametrize(
    ("rows", "hides"),
    [(["id"], True), (["header;user"], True), ([" ID ; critical"], True), (["none"], False),
     (["id;none"], False), (["session"], False), (["mystery"], False), ([""], False), ([], False)],
)  # fmt: skip
def test_wishes_are_read(rows: list[str], hides: bool) -> None:
    request = Request("INVITE", "sip:a@b", {"Privacy": rows} if rows else {})
    assert hides_number(wishes_of(request)) is hides


def test_who_hides_from_a_phone_is_anonymous_there_and_known_in_the_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            phone = await here.desk_phone()
            carrier.user, carrier.domain = "anonymous", "anonymous.invalid"
            known: Headers = {"P-Asserted-Identity": ["<sip:02188887777@127.0.0.10>"], **ID}
            talk = carrier.call("02136413501", known)
            await talk.answered.wait()
            invite = phone.calls[0].requests[0]
            assert str(invite.from_.uri) == "sip:anonymous@anonymous.invalid"
            assert "P-Asserted-Identity" not in invite.headers
            assert b"88887777" not in invite.to_bytes()
            talk.hang_up()
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.caller_asserted, cdr.caller_shown) == ("02188887777", None)

    simulate(main())


def test_a_colleague_may_hide_inside(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            await caller.call("8002", ID).answered.wait()
            assert b"8001" not in callee.calls[0].requests[0].to_bytes()

    simulate(main())


def test_no_lamp_names_a_colleague_that_hides(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = callee.ring
            lamp = Lamp(await here.desk_phone("8003", "laptop-8003"), "8002")
            assert (await lamp.subscribe()).status == 200
            talk = caller.call("8002", ID)
            await here.pass_time(2)
            hidden = "sip:anonymous@anonymous.invalid"
            assert lamp.shown() == [("early", "recipient", hidden)]
            callee.pick_up(callee.calls[0])
            await talk.answered.wait()
            await here.pass_time(2)
            assert lamp.shown() == [("confirmed", "recipient", hidden)]
            assert not any(b"8001" in one.body for one in lamp.notifies)

    simulate(main())


def test_a_call_out_shows_its_number_whatever_was_wished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            await caller.call(OUTSIDE, ID).answered.wait()
            invite = carrier.calls[0].requests[0]
            assert invite.from_.uri.user == "02136413501"
            assert "Privacy" not in invite.headers
            assert "asked for privacy" in caplog.text

    caplog.set_level("INFO")
    simulate(main())


def test_who_would_rather_not_call_than_be_known_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE, {"Privacy": ["id;critical"]})
            await talk.ended.wait()
            assert talk.status == 500
            assert carrier.calls == []
            await here.pass_time(1)
            assert here.cdrs()[0].rule == "display-number"

    simulate(main())


def test_a_call_that_was_forwarded_too_often_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            await here.desk_phone()
            rows = [diversion(Uri(user=str(n), host="x"), "unconditional") for n in range(6)]
            talk = carrier.call("02136413501", {"Diversion": rows})
            await talk.ended.wait()
            assert talk.status == 483
            assert "Q.850;cause=25" in (talk.answers[-1].first("Reason") or "")

    simulate(main())


def test_forwards_are_counted_in_either_header() -> None:
    by, to = Uri(user="1", host="a"), Uri(user="2", host="b")
    entries = history(by, to, "user-busy")
    assert forwards_of(Request("INVITE", "sip:a@b", {"History-Info": entries})) == 1
    counted = {"Diversion": ["<sip:1@a>;counter=4, <sip:2@a>", "<sip:3@a>;counter=x"]}
    assert forwards_of(Request("INVITE", "sip:a@b", counted | {"History-Info": entries})) == 6
    assert forwards_of(Request("INVITE", "sip:a@b", {})) == 0
