"""After kill -9: signalling's next process ends the calls, a dead worker's calls go on."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from sipcore.call.keep import NUMBER_STEP
from sipcore.call.recover import BYE_WITHIN_S, CALLS_PER_S, close_left_behind
from sipcore.cdr.entry import Answered
from sipcore.cdr.recovery import Interrupted, Recovery, recover
from sipcore.config import parse_config
from sipcore.dialog.events import Within
from sipcore.message.flow import Flow
from sipcore.message.message import Headers
from sipcore.transport.base import Lost
from tests.sim.loop import simulate
from tests.sim.net import Packet
from tests.sim.phone import Talk, sdp
from tests.sim.talking import check_all_is_over, recorded_cdr, talking
from tests.sim.trunks import LOGIN, carrier, told
from tests.sim.world import OUTSIDE, World, world

TWO_WORKERS = parse_config("[media]\nworkers = 2\n")


async def crash_and_restart(here: World, dead_s: float = 1.0) -> None:
    here.crash()
    await here.pass_time(dead_s)
    here.net.sent.clear()
    await here.restart()
    await here.pass_time(1)


def byes(here: World) -> list[Packet]:
    """Return the BYEs of the node, each once."""
    sent = (one for one in here.net.sent if one.source[0] == "10.0.0.1")
    return list({p.data: p for p in sent if p.start_line.startswith("BYE")}.values())


def test_both_legs_get_a_bye_and_the_call_one_cdr(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            await here.speak(caller, talk.body, 5)
            here.crash()
            await here.speak(caller, talk.body, 5)  # media has not noticed
            here.net.sent.clear()
            await here.restart()
            await here.pass_time(1)
            assert (talk.is_over, other.is_over) == (True, True), "tags and numbers fit"
            to_caller, to_callee = byes(here)
            assert (to_caller.to, to_callee.to) == (caller.place, callee.place)
            for bye, number in ((to_caller, 1), (to_callee, 2)):
                assert f"CSeq: {NUMBER_STEP + number} BYE".encode() in bye.data
                assert b'Reason: Q.850;cause=41;text="node restarted"' in bye.data
            (cdr,) = here.cdrs()
            assert (cdr.inferred_end, cdr.ended_by, cdr.q850_cause) == (True, "node", 41)
            assert cdr.talked_s == pytest.approx(10, abs=1.2), "until media was heard last"
            await check_all_is_over(here)

    simulate(main())


def test_requests_of_ours_before_the_crash_do_not_matter_to_the_bye(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            for version in range(2, 12):
                talk.request("INVITE", sdp(caller.place, version=version))
                await here.pass_time(1)
            assert other.requests[-1].cseq.number > 10
            await crash_and_restart(here)
            assert (talk.is_over, other.is_over) == (True, True)

    simulate(main())


def test_the_bye_takes_the_route_that_was_recorded(tmp_path: Path) -> None:
    proxy = ("10.0.7.7", 5070)
    recorded: Headers = {"Record-Route": [f"<sip:{proxy[0]}:{proxy[1]};lr>"]}

    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()

            def answer(talk: Talk) -> None:
                assert talk.invite is not None
                contact: Headers = {"Contact": ["<sip:gw@10.9.9.9>"], **recorded}
                sdp_type: Headers = {"Content-Type": ["application/sdp"]}
                headers = contact | sdp_type
                carrier.endpoint.respond(talk.invite, 200, headers, sdp(carrier.place))

            carrier.on_invite = answer
            caller = await here.desk_phone()
            await caller.call(OUTSIDE).answered.wait()
            await crash_and_restart(here)
            (bye,) = (one for one in byes(here) if one.to == proxy)
            assert bye.start_line == "BYE sip:gw@10.9.9.9 SIP/2.0"
            assert b"Route: <sip:10.0.7.7:5070;lr>" in bye.data
            await check_all_is_over(here)

    simulate(main())


def test_a_phone_that_has_moved_gets_its_bye_where_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, _ = await talking(here)
            moved: Headers = {"Contact": ["<sip:8001@10.0.1.77:5066>"]}
            talk.request("INVITE", sdp(caller.place, version=2), moved)
            await here.pass_time(1)
            await crash_and_restart(here)
            assert {one.to for one in byes(here)} == {("10.0.1.77", 5066), ("10.0.1.2", 5060)}

    simulate(main())


def test_re_invites_from_the_same_place_are_not_written_down(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, _ = await talking(here)
            talk.request("INVITE", sdp(caller.place, version=2))
            await here.pass_time(1)
            text = b"".join(one.read_bytes() for one in (tmp_path / "journal").iterdir())
            assert text.count(b'"is":"answered"') == 1
            assert b'"is":"moved"' not in text
            talk.hang_up()

    simulate(main())


def test_a_display_name_that_is_no_utf_8_comes_back_as_it_was(tmp_path: Path) -> None:
    name = b'"\xc7\xb0\xcc\xa8" <sip:8001@acme.example>;tag=gbk'.decode("utf-8", "surrogateescape")

    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8002", {"From": [name]})
            await talk.answered.wait()
            await crash_and_restart(here)
            (bye,) = (one for one in byes(here) if one.to == caller.place)
            assert b'To: "\xc7\xb0\xcc\xa8" <sip:8001@acme.example>;tag=gbk' in bye.data
            assert talk.is_over

    simulate(main())


def test_a_phone_that_is_gone_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, _, _, other = await talking(here)
            caller.close()
            await crash_and_restart(here)
            assert other.is_over
            assert len(here.cdrs()) == 1
            await check_all_is_over(here)
            assert "leg=a did not answer our BYE" in caplog.text

    simulate(main())


def test_a_phone_that_hangs_up_while_nobody_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, other = await talking(here)
            here.crash()
            talk.hang_up()  # and says it again until it is heard
            await here.pass_time(2)
            await here.restart()
            await here.pass_time(10)
            assert other.is_over
            assert talk.replies[-1][0] == "BYE"
            assert len(here.cdrs()) == 1
            await check_all_is_over(here)

    simulate(main())


def test_a_second_crash_on_the_way_ends_each_call_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            here.carrier()
            talks = [caller.call(OUTSIDE) for _ in range(2)]
            for one in talks:
                await one.answered.wait()
            here.crash()
            await here.pass_time(1)
            await here.restart()
            await here.pass_time(0.5 / CALLS_PER_S)
            assert len(here.cdrs()) == 1, "the first of them"
            await crash_and_restart(here)
            cdrs = here.cdrs()
            assert len(cdrs) == len({cdr.id for cdr in cdrs}) == 2
            assert all(one.is_over for one in talks)
            await check_all_is_over(here)

    simulate(main())


def test_new_calls_are_taken_while_old_ones_are_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, _ = await talking(here)
            here.crash()
            await here.restart()
            here.carrier()
            fresh = caller.call(OUTSIDE)
            await fresh.answered.wait()
            await here.pass_time(5)
            assert (talk.is_over, fresh.is_over) == (True, False)
            fresh.hang_up()
            await here.pass_time(1)
            assert [cdr.inferred_end for cdr in here.cdrs()] == [True, False]
            await check_all_is_over(here)

    simulate(main())


def test_peers_of_a_call_long_gone_are_told_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await talking(here)
            here.workers.kill()
            here.crash()
            await here.pass_time(2 * BYE_WITHIN_S)
            here.workers.revive()
            here.net.sent.clear()
            await here.restart()
            await here.pass_time(1)
            assert byes(here) == []
            assert len(here.cdrs()) == 1

    simulate(main())


class _NoWay:
    """A TCP listener whose connections cannot be opened."""

    name = "tcp"
    address, port = "10.0.0.1", 5060

    def __init__(self) -> None:
        self.tried: list[tuple[str, int]] = []

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        self.tried.append((flow.remote_address, flow.remote_port))
        if lost is not None:
            lost()

    def close(self) -> None:
        pass


def test_a_connection_that_died_with_signalling_is_opened_to_the_contact(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await talking(here)
            here.crash()
            [call] = recover(tmp_path / "journal").open
            tcp = ("tcp", "10.0.0.1", 5060, "10.0.1.1", 49152)
            legs = tuple(
                replace(leg, flow=tcp, target=f"{leg.target};transport=tcp")
                for leg in call.answered.legs
            )
            answered = Answered(call.answered.cdr, legs)
            await here.restart()
            here.node.listen(no_way := _NoWay())
            await close_left_behind(
                Recovery((Interrupted(answered, call.proof_at),)), here.node.desk
            )
            assert no_way.tried == [("10.0.1.1", 5060), ("10.0.1.2", 5060)]
            assert caplog.text.count("did not answer our BYE") == 2

    simulate(main())


def test_a_worker_and_signalling_die_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            await here.speak(caller, talk.body, 4)
            here.workers.lose()
            await crash_and_restart(here)
            assert (talk.is_over, other.is_over) == (True, True)
            await recorded_cdr(here)
            await check_all_is_over(here)

    simulate(main())


def test_what_asks_within_a_call_that_is_gone_is_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, _ = await talking(here)

            def is_deaf(_: Talk, event: Within) -> bool:
                return event.request.method == "BYE"

            talk.on_request = is_deaf
            await crash_and_restart(here)
            talk.request("INVITE", sdp(caller.place, version=2))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 481)

            assert here.bugs() == 0

    simulate(main())


async def _two_left(here: World) -> tuple[Talk, Talk, Talk]:
    """Leave two calls behind, the second of which must wait for 10 s; return its two sides."""
    caller, first, callee, _ = await talking(here)
    second = caller.call("8002")
    await second.answered.wait()
    await here.pass_time(5)
    here.crash()
    await here.pass_time(1)
    await here.restart(calls_per_s=0.1)
    await here.pass_time(1)
    assert first.is_over
    return first, second, callee.calls[1]


@pytest.mark.parametrize("side", [0, 1])
def test_who_hangs_up_a_call_that_was_left_is_answered_and_ends_it_at_once(
    tmp_path: Path, side: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, *both = await _two_left(here)
            both[side].hang_up()
            await here.pass_time(1)
            assert both[side].replies[-1] == ("BYE", 200)
            assert both[1 - side].is_over
            cdr = here.cdrs()[1]
            assert cdr.ended_by == ("caller", "callee")[side]
            assert (cdr.inferred_end, cdr.q850_cause, cdr.reason) == (False, 16, "")
            assert cdr.talked_s == pytest.approx(7, abs=0.1)
            await here.pass_time(10)
            assert len(here.cdrs()) == 2
            await check_all_is_over(here)

    simulate(main())


def test_what_else_is_asked_in_a_call_that_was_left_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, second, _ = await _two_left(here)
            second.request("UPDATE")
            await here.pass_time(1)
            assert second.replies[-1] == ("UPDATE", 481)
            await here.pass_time(10)
            assert second.is_over
            assert here.cdrs()[1].inferred_end
            await check_all_is_over(here)

    simulate(main())


def test_a_carrier_that_wants_the_bye_signed_gets_it_signed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=told(LOGIN)) as here:
            at = carrier(here, asks=True)
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()

            def heed(_: Talk, event: Within) -> bool:
                if at.is_signed(event.request):
                    return False
                challenged = at.challenge("Proxy-Authenticate")
                at.endpoint.respond(event.transaction, 407, challenged)
                return True

            (far,) = at.calls
            far.on_request = heed
            await crash_and_restart(here)
            assert [one.method for one in far.requests[1:]] == ["BYE", "BYE"]
            assert (talk.is_over, far.is_over) == (True, True)
            await check_all_is_over(here)

    simulate(main())
