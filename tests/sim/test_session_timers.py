"""Session timers on each leg (RFC 4028): refreshed by whoever must, ended where nobody does."""

from pathlib import Path

import pytest

from sipcore.dialog.events import Within
from sipcore.message.message import Request, Response
from sipcore.message.parse import parse
from tests.sim.loop import simulate
from tests.sim.parties import disagreement, habits, party, two_phones
from tests.sim.party import Party, PartyPhone
from tests.sim.phone import Talk
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, world


async def _talking(
    here: World, caller_s: int = 0, update: bool = False, answer: dict[str, list[str]] | None = None
) -> tuple[Party, Party]:
    """Set a call up; `answer` is what the callee's 200 says beside the usual."""
    caller, callee = await two_phones(here, lambda: habits(update=update))
    a = caller.begin("8002", habits(update=update, timer_s=caller_s))
    await callee.rang.wait()
    b = party(callee.calls[0])
    if answer:
        plain = b.headers()
        b.headers = lambda: plain | answer  # type: ignore[method-assign]
    b.pick_up()
    await a.answered.wait()
    await here.pass_time(0.2)
    if answer:
        del b.headers
    return a, b


async def _speak(here: World, one: Party) -> None:
    assert one.agreed is not None
    await here.speak(one.phone, one.agreed[1], 190)


def _heard(here: World, phone: PartyPhone, method: str) -> list[Request]:
    read = [parse(one.data) for one in here.net.sent if one.to == phone.place]
    return [one for one in read if isinstance(one, Request) and one.method == method]


def _final(here: World, phone: PartyPhone) -> Response:
    read = [parse(one.data) for one in here.net.sent if one.to == phone.place]
    return next(one for one in read if isinstance(one, Response) and one.cseq.method == "INVITE"
                and one.status in (200, 422))  # fmt: skip


def test_phones_that_know_no_timers_are_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.net.keeps_record = True
            a, b = await _talking(here)
            assert "Session-Expires" not in _final(here, a.phone).headers  # type: ignore[arg-type]
            await here.pass_time(50)
            a.hang_up()
            await check_all_is_over(here)
            assert b.is_over

    simulate(main())


@pytest.mark.parametrize("update", [True, False])
def test_we_refresh_a_leg_whose_peer_leaves_it_to_us(tmp_path: Path, update: bool) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            says = {"Session-Expires": ["90;refresher=uac"], "Require": ["timer"]}
            a, b = await _talking(here, update=update, answer=says)
            first = b.invite
            assert first is not None
            phone = b.phone
            assert isinstance(phone, PartyPhone)

            def answers(talk: Talk, event: Within) -> bool:
                if event.request.method not in ("INVITE", "UPDATE"):
                    return False
                told = event.request.headers["Session-Expires"]
                body = b.agreed[0] if event.request.body and b.agreed else b""
                headers = b.headers() | {"Session-Expires": told}
                if body:
                    headers["Content-Type"] = ["application/sdp"]
                phone.endpoint.respond(event.transaction, 200, headers, body)
                return True

            b.on_request = answers
            for one in (a, b):
                here.beside(_speak(here, one))
            await here.pass_time(200)
            assert not a.is_over
            method = "UPDATE" if update else "INVITE"
            asked = _heard(here, phone, method)
            assert len(asked) == (4 if update else 5)
            assert asked[-1].headers["Session-Expires"] == ["90;refresher=uac"]
            if not update:  # lessons 24: byte for byte, or a fax dies of it
                assert {one.body for one in asked} == {asked[0].body}
            assert disagreement(a, b) == ""
            a.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_a_leg_that_does_not_refresh_is_ended_and_the_record_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b = await _talking(here, caller_s=90)
            said = _final(here, a.phone).headers  # type: ignore[arg-type]
            assert said["Session-Expires"] == ["90;refresher=uac"]
            assert said["Require"] == ["timer"]
            await here.pass_time(59)
            assert not a.is_over
            await here.pass_time(3)
            assert (a.is_over, b.is_over) == (True, True)
            await check_all_is_over(here)
            (cdr,) = here.cdrs()
            assert (cdr.inferred_end, cdr.ended_by) == (True, "node")
            assert cdr.talked_s is not None
            assert cdr.talked_s < 2, "only the answer is proof of life"

    simulate(main())


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_leg_that_refreshes_lives_and_the_other_hears_nothing_of_it(
    tmp_path: Path, method: str
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b = await _talking(here, caller_s=90)
            assert a.agreed is not None
            told = a.agreed[1]
            for one in (a, b):
                here.beside(_speak(here, one))
            for _ in range(3):
                await here.pass_time(40)
                body = b"" if method == "UPDATE" else a.agreed[0]
                headers = a.headers() | {"Session-Expires": ["90;refresher=uac"]}
                a.offered = body or None
                sent = a.request(method, body, headers)
                a.open_invite, a.updating = (sent, None) if body else (None, sent)
            await here.pass_time(1)
            assert not a.is_over
            assert a.replies[-1] == (method, 200)
            assert a.agreed[1] == told, "the same SDP, byte for byte"
            assert [one.method for one in b.requests] == ["INVITE"]
            a.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_an_interval_too_short_is_refused_with_ours(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, _ = await two_phones(here)
            a = caller.begin("8002", habits(timer_s=30))
            await a.ended.wait()
            assert a.status == 422
            assert _final(here, caller).headers["Min-SE"] == ["90"]

    simulate(main())


def test_a_callee_that_wants_a_longer_interval_is_called_again_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)

            def refuses(talk: Talk) -> None:
                if len(callee.calls) == 1:
                    callee.refuse(talk, 422, {"Min-SE": ["3600"]})

            callee.on_invite = refuses
            a = caller.begin("8002", habits())
            await here.pass_time(1)
            first, second = _heard(here, callee, "INVITE")
            assert first.headers["Session-Expires"] == ["1800"]
            assert second.headers["Session-Expires"] == ["3600"]
            assert second.headers["Min-SE"] == ["3600"]
            assert second.call_id == first.call_id
            assert second.cseq.number == first.cseq.number + 1
            party(callee.calls[1]).pick_up()
            await a.answered.wait()
            a.hang_up()
            await check_all_is_over(here)

    simulate(main())
