"""Picking up what rings at somebody else: the lamp names its dialog, Replaces asks for it."""

from pathlib import Path

import pytest

from sipcore.cdr.journal import InlineJournal, JournalError
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over
from tests.sim.transferring import FOUR, replaces_of, third
from tests.sim.watching import INFO, Lamp
from tests.sim.world import CARRIER_A, OUTSIDE, PBX, World, world

VIDEO = b"m=video 40000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


class Stage:
    """8001 calls 8002, where it rings; 8004 watches 8002."""

    def __init__(self, here: World) -> None:
        self.here = here

    async def set(self) -> None:
        here = self.here
        self.caller = await here.desk_phone()
        self.callee = await here.desk_phone("8002", "workshop-8002")
        self.callee.on_invite = self.callee.ring
        self.last = await third(here)
        self.lamp = Lamp(self.last, "8002")
        assert (await self.lamp.subscribe()).status == 200

    async def ring(self) -> Talk:
        talk = self.caller.call("8002")
        await self.here.pass_time(2)
        return talk

    def named(self) -> str:
        """Return the Replaces that a phone makes of what its lamp was told."""
        (dialog,) = self.lamp.body.iter(f"{INFO}dialog")
        call_id, local, remote = map(dialog.get, ("call-id", "local-tag", "remote-tag"))
        assert dialog.get("direction") == "recipient"
        return f"{call_id};to-tag={local};from-tag={remote}"

    def pick_up(self, more: str = "", by: Phone | None = None, body: bytes | None = None) -> Talk:
        return (by or self.last).call("8002", {"Replaces": [self.named() + more]}, body)


async def nothing_is_left(here: World) -> None:
    """Wait for the lamps' subscriptions to end, too."""
    await here.pass_time(700)
    await check_all_is_over(here)


@pytest.mark.parametrize("more", ["", ";early-only"])
def test_who_watches_picks_up_what_rings(tmp_path: Path, more: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            new = stage.pick_up(more)
            await here.pass_time(2)
            assert (talk.status, new.status) == (200, 200)
            rung = stage.callee.calls[0]
            assert rung.status == 487, "no missed call: it was answered elsewhere"
            await here.speak(talk.phone, talk.body, 3)
            await here.speak(new.phone, new.body, 3)
            talk.request("INVITE", sdp(talk.phone.place, "sendonly", version=3))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            assert b"a=sendonly" in new.requests[-1].body
            new.hang_up()
            await here.pass_time(1)
            assert talk.is_over
            (cdr,) = here.cdrs()
            assert (cdr.callee_dialled, cdr.callee_routed) == ("8002", "8004")
            assert (cdr.sip_status, cdr.ended_by) == (200, "callee")
            assert cdr.a_packets
            assert cdr.b_packets
            await nothing_is_left(here)

    simulate(main())


def test_a_phone_with_video_picks_up_a_call_without(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            new = stage.pick_up(body=sdp(stage.last.place) + VIDEO)
            await here.pass_time(2)
            assert (talk.status, new.status) == (200, 200)
            assert b"m=video" not in talk.body
            assert b"m=video 0 " in new.body
            talk.request("INVITE", sdp(talk.phone.place, "sendonly", version=3))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            assert new.requests[-1].body.count(b"m=") == 2, "RFC 3264 8: never fewer"
            assert talk.answers[-1].body.count(b"m=") == 1, "RFC 3264 6"
            new.request("INVITE", sdp(new.phone.place, version=3) + VIDEO)
            await here.pass_time(1)
            assert new.replies[-1] == ("INVITE", 200)
            talk.hang_up()
            await nothing_is_left(here)

    simulate(main())


def test_the_lamp_goes_off_and_names_no_call_that_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            mine = Lamp(stage.callee, "8004")
            assert (await mine.subscribe()).status == 200
            stage.pick_up()
            await here.pass_time(3)
            assert stage.lamp.states()[-1] == ["terminated"]
            assert mine.states()[-1] == ["confirmed"]
            assert b"call-id" not in mine.notifies[-1].body
            talk.hang_up()
            await here.pass_time(1)

    simulate(main())


def test_a_call_from_outside_is_picked_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            carrier = here.carrier(CARRIER_A)
            stage.caller.on_invite = stage.caller.ring
            mine = Lamp(stage.last, "8001")
            assert (await mine.subscribe()).status == 200
            talk = carrier.call("02136413501")
            await here.pass_time(2)
            stage.lamp = mine
            new = stage.pick_up()
            await here.pass_time(2)
            assert (talk.status, new.status) == (200, 200)
            new.hang_up()
            await nothing_is_left(here)

    simulate(main())


@pytest.mark.parametrize("case", ["caller", "pbx", "codec", "gone", "answered", "carrier"])
def test_what_may_not_be_picked_up_rings_on(tmp_path: Path, case: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            said, body, asks, status = stage.named(), None, stage.last, 481
            if case == "caller":  # a dialog that this node has not begun (RFC 3891 3)
                assert talk.early is not None
                ours, theirs = talk.early.remote_tag, talk.early.local_tag
                said = f"{talk.early.call_id};to-tag={ours};from-tag={theirs}"
            elif case == "pbx":
                asks = here.carrier(PBX)
            elif case == "carrier":
                asks = here.carrier(CARRIER_A)
            elif case == "codec":
                body, status = sdp(stage.last.place, payload="96"), 488
            elif case == "gone":
                stage.callee.refuse(stage.callee.calls[0], 486)
                await here.pass_time(1)
            elif case == "answered":
                stage.callee.pick_up(stage.callee.calls[0])
                await here.pass_time(1)
                said, status = said + ";early-only", 486
            new = asks.call("8002", {"Replaces": [said]}, body)
            await here.pass_time(2)
            assert new.status == status
            assert new.is_over
            if case == "gone":
                assert talk.status == 486
            else:
                assert not talk.is_over
                stage.callee.pick_up(stage.callee.calls[0])
                await here.pass_time(1)
                assert talk.status == 200
                talk.hang_up()
            await nothing_is_left(here)

    simulate(main())


def test_of_two_who_pick_up_the_first_has_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            other = await here.desk_phone("8003", "laptop-8003")
            news = [stage.pick_up(), stage.pick_up(by=other)]
            await here.pass_time(2)
            assert [one.status for one in news] in ([200, 481], [200, 500])
            assert talk.status == 200
            talk.hang_up()
            await nothing_is_left(here)

    simulate(main())


def test_who_is_rung_and_answers_first_keeps_his_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            new = stage.pick_up()
            stage.callee.pick_up(stage.callee.calls[0])
            await here.pass_time(2)
            rung = stage.callee.calls[0]
            assert talk.status == 200
            assert new.is_over != rung.is_over, "one of the two has it"
            talk.hang_up()
            await nothing_is_left(here)

    simulate(main())


@pytest.mark.parametrize("who", ["caller", "picker"])
def test_who_gives_up_meanwhile_leaves_nothing(tmp_path: Path, who: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()
            journal = here.node.desk.journal
            assert isinstance(journal, InlineJournal)
            whole = journal.sync

            async def slow() -> None:
                await here.pass_time(0.5)
                await whole()

            journal.sync = slow  # type: ignore[method-assign]
            new = stage.pick_up()
            await here.pass_time(0.3)
            (talk if who == "caller" else new).hang_up()
            await here.pass_time(3)
            assert talk.status == (487 if who == "caller" else 480)
            assert new.is_over
            assert new.status == 487
            (cdr,) = here.cdrs()
            assert cdr.talked_s is None
            await nothing_is_left(here)

    simulate(main())


def test_a_journal_that_is_not_on_disk_refuses_both(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            talk = await stage.ring()

            async def fails() -> None:
                raise JournalError("disk full")

            here.node.desk.journal.sync = fails  # type: ignore[method-assign]
            new = stage.pick_up()
            await here.pass_time(2)
            assert (talk.status, new.status) == (503, 503)
            await nothing_is_left(here)

    simulate(main())


def test_the_lamp_names_another_device_when_the_first_will_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            second = await here.desk_phone("8002", "workshop-8002")
            second.on_invite = second.ring
            talk = await stage.ring()
            first = stage.named()
            (refuses,) = [
                one
                for one in (stage.callee, second)
                if first.startswith(one.calls[0].requests[0].call_id)
            ]
            refuses.refuse(refuses.calls[0], 486)
            await here.pass_time(3)
            assert stage.named() != first
            new = stage.pick_up()
            await here.pass_time(2)
            assert (talk.status, new.status) == (200, 200)
            talk.hang_up()
            await nothing_is_left(here)

    simulate(main())


def test_a_call_out_is_nobody_s_to_pick_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            stage = Stage(here)
            await stage.set()
            carrier = here.carrier(CARRIER_A)
            carrier.on_invite = carrier.ring
            talk = stage.caller.call(OUTSIDE)
            await here.pass_time(1)
            new = stage.last.call("8002", {"Replaces": [replaces_of(carrier.calls[0])]})
            await here.pass_time(1)
            assert (new.status, talk.is_over) == (481, False)
            talk.hang_up()
            await here.pass_time(1)

    simulate(main())
