"""Picking up what rings by a transfer or a forward, for who called without SDP, by a PBX."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sipcore.cdr.journal import InlineJournal
from sipcore.message.message import Headers
from tests.sim.deflecting import deflect
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, talking
from tests.sim.transferring import FOUR, attend, refer, replaces_of, reports, third
from tests.sim.watching import INFO, Lamp
from tests.sim.world import World, world
from tests.store.files import replaced

OWN_PBX: Place = ("127.0.0.3", 25090)
TRUNK = (
    '  [[customer.trunk]]\n  id = "acme-pbx"\n  account = "acme-1"\n'
    '  uri = "sip:127.0.0.3:25090"\n  accept_from = ["127.0.0.3/32"]\n  channels = 1\n\n'
)
WITH_PBX = replaced(FOUR, ('[[customer]]\nid = "beta"', f'{TRUNK}[[customer]]\nid = "beta"'))
Act = Callable[[World], Awaitable[None]]


def play(tmp_path: Path, act: Act, provisioning: str = FOUR) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=provisioning) as here:
            await act(here)
            await here.pass_time(700)
            await check_all_is_over(here)

    simulate(main())


async def picker_at_8003(here: World) -> Phone:
    return await here.desk_phone("8003", "laptop-8003")


def pick_up(by: Phone, rung: Talk, body: bytes | None = None) -> Talk:
    """Ask for what rings at a phone, whose own view of the dialog is turned round."""
    return by.call("8000", {"Replaces": [replaces_of(rung)]}, body)


async def transferring(here: World, by: str) -> tuple[Talk, Talk, Talk]:
    """Transfer one of two to 8004, where it rings: who transfers, who stays, what rings."""
    _, talk, _, other = await talking(here)
    last = await third(here)
    last.on_invite = last.ring
    gone, stays = (talk, other) if by == "caller" else (other, talk)
    refer(gone, "8004")
    await here.pass_time(2)
    return gone, stays, last.calls[0]


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_what_rings_by_a_transfer_is_picked_up(tmp_path: Path, by: str) -> None:
    async def act(here: World) -> None:
        gone, stays, rung = await transferring(here, by)
        colleague = await picker_at_8003(here)
        new = pick_up(colleague, rung)
        await here.pass_time(2)
        assert (new.status, rung.status) == (200, 487)
        assert reports(gone) == ["100 Trying", "180 Ringing", "200 OK"]
        assert (gone.is_over, stays.is_over) == (True, False)
        told = [one.body for one in stays.requests if one.body] or [stays.body]
        await here.speak(stays.phone, told[-1], 3)
        await here.speak(colleague, new.body, 3)
        new.request("INVITE", sdp(colleague.place, "sendonly", version=3))
        await here.pass_time(1)
        assert new.replies[-1] == ("INVITE", 200)
        assert b"a=sendonly" in stays.requests[-1].body
        stays.hang_up()
        await here.pass_time(1)
        assert new.is_over
        first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
        assert (second.parent_id, second.callee_dialled) == (first.id, "8004")
        assert second.callee_routed == "8003"
        assert second.sip_status == 200

    play(tmp_path, act)


@pytest.mark.parametrize("gives_up", ["target", "codec"])
def test_a_transfer_rings_on_where_it_was_not_picked_up(tmp_path: Path, gives_up: str) -> None:
    async def act(here: World) -> None:
        gone, stays, rung = await transferring(here, "caller")
        colleague = await picker_at_8003(here)
        if gives_up == "target":
            rung.phone.refuse(rung, 486)
            new = pick_up(colleague, rung)
            await here.pass_time(2)
            assert (new.status, reports(gone)[-1]) == (481, "486 Busy Here")
            gone.hang_up()
            return
        new = pick_up(colleague, rung, sdp(colleague.place, payload="96"))
        await here.pass_time(2)
        assert new.status == 488
        rung.phone.pick_up(rung)
        await here.pass_time(2)
        assert reports(gone)[-1] == "200 OK"
        assert not stays.is_over
        stays.hang_up()

    play(tmp_path, act)


def test_who_picks_a_transfer_up_and_gives_up_at_once_leaves_both_talking(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        gone, stays, rung = await transferring(here, "caller")
        journal = here.node.desk.journal
        assert isinstance(journal, InlineJournal)
        whole = journal.sync

        async def slow() -> None:
            await here.pass_time(0.5)
            await whole()

        journal.sync = slow  # type: ignore[method-assign]
        new = pick_up(await picker_at_8003(here), rung)
        await here.pass_time(0.3)
        new.hang_up()
        await here.pass_time(3)
        assert new.status == 487
        assert not gone.is_over
        assert not stays.is_over
        stays.hang_up()

    play(tmp_path, act)


def test_a_call_that_ends_while_a_transfer_of_it_is_picked_up_leaves_nothing(
    tmp_path: Path,
) -> None:
    async def act(here: World) -> None:
        _, stays, rung = await transferring(here, "caller")
        new = pick_up(await picker_at_8003(here), rung)
        stays.hang_up()
        await here.pass_time(3)
        assert new.is_over
        assert rung.is_over

    play(tmp_path, act)


def test_what_was_forwarded_is_picked_up_where_it_rings_and_its_lamp_names_it(
    tmp_path: Path,
) -> None:
    async def act(here: World) -> None:
        caller = await here.desk_phone()
        deflect(await here.desk_phone("8002", "workshop-8002"), "8004")
        last = await third(here)
        last.on_invite = last.ring
        colleague = await picker_at_8003(here)
        lamp = Lamp(colleague, "8004")
        assert (await lamp.subscribe()).status == 200
        talk = caller.call("8002")
        await here.pass_time(3)
        (dialog,) = lamp.body.iter(f"{INFO}dialog")
        assert lamp.shown() == [("early", "recipient", "sip:8001@acme.example")]
        call_id, local, remote = map(dialog.get, ("call-id", "local-tag", "remote-tag"))
        named: Headers = {"Replaces": [f"{call_id};to-tag={local};from-tag={remote};early-only"]}
        new = colleague.call("8004", named)
        await here.pass_time(3)
        assert (talk.status, new.status, last.calls[0].status) == (200, 200, 487)
        assert lamp.states()[-1] == ["terminated"]
        await here.speak(caller, talk.body, 3)
        await here.speak(colleague, new.body, 3)
        talk.hang_up()
        await here.pass_time(1)
        assert new.is_over
        first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
        assert (first.callee_dialled, second.callee_dialled) == ("8002", "8004")
        assert second.callee_routed == "8003"

    play(tmp_path, act)


def test_a_lamp_goes_off_where_a_forward_rings_no_more(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        caller = await here.desk_phone()
        deflect(await here.desk_phone("8002", "workshop-8002"), "8004")
        last = await third(here)
        last.on_invite = last.ring
        lamp = Lamp(await picker_at_8003(here), "8004")
        assert (await lamp.subscribe()).status == 200
        talk = caller.call("8002")
        await here.pass_time(3)
        talk.hang_up()
        await here.pass_time(3)
        assert lamp.states()[-2:] == [["early"], ["terminated"]]

    play(tmp_path, act)


def test_a_lamp_that_is_asked_for_while_a_forward_rings_goes_off_with_it(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        caller = await here.desk_phone()
        deflect(await here.desk_phone("8002", "workshop-8002"), "8004")
        last = await third(here)
        last.on_invite = last.ring
        talk = caller.call("8002")
        await here.pass_time(3)
        lamp = Lamp(await picker_at_8003(here), "8004")
        assert (await lamp.subscribe()).status == 200
        await here.pass_time(1)
        new = pick_up(lamp.phone, last.calls[0])
        await here.pass_time(2)
        assert new.status == 200
        assert lamp.states()[-2:] == [["early"], ["terminated"]]
        talk.hang_up()

    play(tmp_path, act)


def test_who_picked_up_stays_where_the_caller_joins_its_calls(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        caller = await here.desk_phone()
        callee = await here.desk_phone("8002", "workshop-8002")
        callee.on_invite = callee.ring
        last = await third(here)
        talk = caller.call("8002")
        await here.pass_time(2)
        new = pick_up(await picker_at_8003(here), callee.calls[0])
        await here.pass_time(2)
        consult = caller.call("8004")
        await here.pass_time(2)
        attend(consult, talk, "8002")
        await here.pass_time(3)
        assert reports(consult)[-1] == "200 OK"
        assert (talk.is_over, consult.is_over) == (True, True)
        assert (new.is_over, last.calls[0].is_over) == (False, False)
        new.hang_up()
        await here.pass_time(1)
        assert last.calls[0].is_over
        assert len(here.cdrs()) == 2

    play(tmp_path, act)


@pytest.mark.parametrize("answer", ["8 101", "0"])
def test_who_called_without_sdp_hears_who_picked_up(tmp_path: Path, answer: str) -> None:
    async def act(here: World) -> None:
        caller = await here.desk_phone()
        callee = await here.desk_phone("8002", "workshop-8002")
        callee.on_invite = callee.ring
        colleague = await picker_at_8003(here)
        talk = caller.call("8002", body=b"")
        mine = sdp(caller.place, payload=answer).replace(
            b"a=rtpmap:101 telephone-event/8000\r\n", b""
        )
        talk.ack = lambda response, body=b"": Talk.ack(talk, response, mine)  # type: ignore[method-assign]
        await here.pass_time(2)
        offer = sdp(colleague.place, payload="0 8 101")
        new = pick_up(colleague, callee.calls[0], offer)
        await here.pass_time(3)
        assert (talk.status, new.status) == (200, 200)
        assert b"m=audio" in talk.body
        told = [one.body for one in new.requests if one.body] or [new.body]
        assert (b"RTP/AVP 0\r\n" in told[-1]) == (answer == "0"), "told what the caller's ACK has"
        new.request("INVITE", sdp(colleague.place, "sendonly", version=3))
        await here.pass_time(1)
        assert new.replies[-1] == ("INVITE", 200)
        talk.hang_up()
        await here.pass_time(1)
        assert new.is_over

    play(tmp_path, act)


def test_a_phone_of_the_customers_pbx_picks_up_within_its_channels(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        caller = await here.desk_phone()
        callee = await here.desk_phone("8002", "workshop-8002")
        callee.on_invite = callee.ring
        pbx = here.phone("8100", place=OWN_PBX)
        talk = caller.call("8002")
        await here.pass_time(2)
        new = pick_up(pbx, callee.calls[0])
        await here.pass_time(2)
        assert (talk.status, new.status, callee.calls[0].status) == (200, 200, 487)
        assert "trunk:acme-pbx" in [key for key, _ in here.node.desk.slots.leases()]
        again = caller.call("8002")
        await here.pass_time(2)
        second = pick_up(pbx, callee.calls[1])
        await here.pass_time(1)
        assert (second.status, again.is_over) == (503, False), "it has one channel"
        again.hang_up()
        new.hang_up()
        await here.pass_time(1)
        assert talk.is_over
        (cdr,) = [one for one in here.cdrs() if one.sip_status == 200]
        assert (cdr.callee_routed, cdr.trunk) == ("acme-pbx", "acme-pbx")

    play(tmp_path, act, WITH_PBX)


def test_a_pbx_at_which_it_rings_no_more_has_its_channel_back(tmp_path: Path) -> None:
    to_pbx = replaced(WITH_PBX, ('to = "8001"', 'to = "trunk:acme-pbx"'))

    async def act(here: World) -> None:
        caller = await here.desk_phone()
        pbx = here.phone("8100", place=OWN_PBX)
        pbx.on_invite = pbx.ring
        talk = caller.call("02136413501")
        await here.pass_time(2)
        assert "trunk:acme-pbx" in [key for key, _ in here.node.desk.slots.leases()]
        new = pick_up(await picker_at_8003(here), pbx.calls[0])
        await here.pass_time(2)
        assert (talk.status, new.status) == (200, 200)
        assert "trunk:acme-pbx" not in [key for key, _ in here.node.desk.slots.leases()]
        talk.hang_up()

    play(tmp_path, act, to_pbx)
