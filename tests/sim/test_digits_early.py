"""Keys pressed before the answer, as an IVR or a calling card in early media asks for them."""

from pathlib import Path

import pytest

from sipcore.call.leg import SDP
from sipcore.dialog.events import Within
from tests.sim.deflecting import deflect
from tests.sim.keys import FIVE, RELAY, WITH_INFO, answering, formats_in, infos, send_key
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, two_desks
from tests.sim.transferring import FOUR, third
from tests.sim.world import World, world

EVENTS = "8 101"


def early(callee: Phone, *, has_sdp: bool = True) -> None:
    """Let a phone without events send its calls early media, and take INFO."""

    def ring(talk: Talk) -> None:
        assert talk.invite is not None
        said = {"Contact": [callee.hop().contact(callee.user)], **WITH_INFO}
        body = sdp(callee.place, payload="8") if has_sdp else b""
        if body:
            said["Content-Type"] = [SDP]
        callee.endpoint.respond(talk.invite, 183 if body else 180, said, body)

    callee.on_invite = ring


async def ringing(here: World, payload: str = EVENTS, *, has_sdp: bool = True) -> tuple[Talk, Talk]:
    caller, callee = await two_desks(here)
    early(callee, has_sdp=has_sdp)
    talk = caller.call("8002", WITH_INFO, sdp(caller.place, payload=payload))
    await callee.rang.wait()
    await here.pass_time(0.5)
    return talk, callee.calls[0]


@pytest.mark.parametrize("refused", [None, 405])
def test_a_key_is_told_early_and_after_the_answer_where_it_is_refused_before(
    tmp_path: Path, refused: int | None
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await ringing(here)
            assert formats_in(talk.body) == b"8 101", "lent"

            def refuse(rung: Talk, event: Within) -> bool:
                is_early = event.request.method == "INFO" and refused and not rung.answered.is_set()
                if is_early:
                    rung.phone.endpoint.respond(event.transaction, refused or 200)
                return bool(is_early)

            other.on_request = refuse
            for code in (7, 8):
                await send_key(here, talk.phone, talk.body, code)
            told = [b"Signal=7\r\nDuration=60\r\n", b"Signal=8\r\nDuration=60\r\n"]
            assert infos(other) == (told if refused is None else told[:1])
            answering("8", WITH_INFO)(other)
            await here.pass_time(2)
            assert talk.status == 200
            assert infos(other) == (told if refused is None else [told[0], *told])
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_infos_of_a_caller_go_on_where_nobody_has_events(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await ringing(here, "8")
            talk.dialog = talk.early
            talk.request("INFO", FIVE, dict(RELAY))
            await here.pass_time(1)
            assert talk.replies == [("INFO", 200)]
            assert infos(other) == [b"Signal=5\r\nDuration=160\r\n"]
            talk.dialog = None
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_keys_pressed_while_nobody_is_heard_wait_for_the_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await ringing(here, "8", has_sdp=False)
            talk.dialog = talk.early
            for _ in range(40):
                talk.request("INFO", FIVE, dict(RELAY))
            await here.pass_time(1)
            assert infos(other) == []
            talk.dialog = None
            answering("8", WITH_INFO)(other)
            await here.pass_time(5)
            assert len(infos(other)) == 32, "no more are kept"
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_keys_are_told_where_a_forward_is_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, callee = await two_desks(here)
            deflect(callee, "8004")
            last = await third(here)
            early(last)
            talk = caller.call("8002", WITH_INFO)
            await last.rang.wait()
            await here.pass_time(0.5)
            await send_key(here, caller, talk.body)
            assert infos(last.calls[0]) == [b"Signal=7\r\nDuration=60\r\n"]
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_keys_of_a_callee_who_has_not_answered_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            early(callee)
            talk = caller.call("8002", WITH_INFO, sdp(caller.place, payload="8"))
            await callee.rang.wait()
            await here.pass_time(0.5)
            other = callee.calls[0]
            other.request("INFO", FIVE, dict(RELAY))
            await here.pass_time(1)
            assert (other.replies, infos(talk)) == ([("INFO", 200)], [])
            answering("8", WITH_INFO)(other)
            await here.pass_time(1)
            assert infos(talk) == [b"Signal=5\r\nDuration=160\r\n"]
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())
