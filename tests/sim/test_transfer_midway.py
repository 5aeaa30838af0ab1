"""A transferor hangs up, or somebody takes a place, while an offer is on its way: what whoever
stays has been told, and has answered, counts all the same."""

from pathlib import Path

import pytest

from sipcore.dialog.events import Within
from sipcore.message.message import Headers, Response
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, two_desks
from tests.sim.transferring import FOUR, ask, begin, refer, third
from tests.sim.world import World, world

ALL: Headers = {"Allow": ["INVITE, ACK, CANCEL, BYE, INFO, UPDATE"]}


async def transferring(here: World) -> tuple[Talk, Talk, Phone]:
    """Let a callee transfer its caller to a third phone, which rings."""
    caller, callee = await two_desks(here)
    talk = caller.call("8002", ALL)
    await talk.answered.wait()
    last = await third(here)
    last.on_invite = last.ring
    refer(callee.calls[0], "8004")
    await here.pass_time(0.5)
    return talk, callee.calls[0], last


def kept(talk: Talk) -> list[Within]:
    """Let a phone leave the offers that come unanswered; return them."""
    events: list[Within] = []

    def keep(_: Talk, event: Within) -> bool:
        if event.request.method in ("INVITE", "UPDATE"):
            events.append(event)
            return True
        return False

    talk.on_request = keep
    return events


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_who_stays_is_held_no_more_though_the_transferor_held_it_and_left(
    tmp_path: Path, method: str
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, last = await transferring(here)
            events = kept(talk)
            other.request(method, sdp(other.phone.place, "sendonly", version=2))
            await here.pass_time(0.01)
            assert b"a=sendonly" in events[0].request.body
            other.hang_up()
            talk.phone.accept(events[0].transaction)  # on its way when the BYE comes
            talk.on_request = lambda one, event: False
            last.pick_up(last.calls[0])
            await here.pass_time(3)
            offers = [one.body for one in talk.requests if one.method in ("INVITE", "UPDATE")]
            assert len(offers) == 2
            cancelled = [one for one in here.net.sent if one.start_line.startswith("CANCEL")]
            assert bool(cancelled) == (method == "INVITE"), "RFC 3261 9.1"
            assert b"a=sendrecv" in offers[-1]
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_who_stays_may_make_an_offer_after_that_of_the_transferor_was_cancelled(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, last = await transferring(here)
            events = kept(talk)
            other.request("INVITE", sdp(other.phone.place, "sendonly", version=2))
            await here.pass_time(0.01)
            talk.phone.endpoint.respond(events[0].transaction, 180)
            await here.pass_time(0.01)
            other.hang_up()
            await here.pass_time(0.01)
            assert events[0].transaction.is_answered, "487: the CANCEL has come"
            talk.on_request = lambda one, event: False
            last.pick_up(last.calls[0])
            await here.pass_time(1)
            talk.request("INVITE", sdp(talk.phone.place, "sendonly", version=2))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            assert b"a=sendonly" in last.calls[0].requests[-1].body
            last.calls[0].hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_what_who_stays_answers_in_its_ack_counts_though_the_transferor_has_left(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, last = await transferring(here)
            unacknowledged: list[Response] = []
            talk.ack = lambda response, body=b"": unacknowledged.append(response)  # type: ignore[method-assign]
            talk.request("INVITE")
            await here.pass_time(0.1)
            other.hang_up()
            await here.pass_time(0.1)
            Talk.ack(talk, unacknowledged[0], sdp(talk.phone.place, "sendonly", version=2))
            await here.pass_time(0.1)
            last.pick_up(last.calls[0])
            await here.pass_time(3)
            assert b"a=sendonly" in last.calls[0].requests[-1].body
            last.calls[0].hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_the_offer_of_who_stays_is_answered_though_the_transferor_asked_for_it_and_left(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, last = await transferring(here)
            other.ack = lambda response, body=b"": None  # type: ignore[method-assign]
            other.request("INVITE")
            await here.pass_time(0.1)
            here.net.sent.clear()
            other.hang_up()
            await here.pass_time(0.1)
            (ack,) = [p for p in here.net.sent if p.start_line.startswith("ACK")]
            assert ack.to == talk.phone.place
            assert b"m=audio" in ack.data
            last.pick_up(last.calls[0])
            await here.pass_time(1)
            assert not last.calls[0].is_over
            last.calls[0].hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_nobody_is_told_of_a_newcomer_that_has_not_yet_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, callee = await two_desks(here)
            newcomer = await third(here)
            usual = sdp(callee.place, payload="8 0 101")
            callee.on_invite = lambda one: callee.pick_up(one, usual)
            talk = begin(caller, "8002", {}, sdp(caller.place, payload="8 101"))
            await talk.answered.wait()
            other = callee.calls[0]

            def refuse_once(one: Talk, event: Within) -> bool:
                if event.request.method != "INVITE":
                    return False
                one.on_request = lambda one, event: False
                callee.endpoint.respond(event.transaction, 500, {"Retry-After": ["3"]})
                return True

            other.on_request = refuse_once  # told that the caller has no PCMU
            await here.pass_time(1)
            assert other.on_request is not refuse_once
            new = ask(newcomer, talk, sdp(newcomer.place, payload="8 0 101"))
            await here.pass_time(10)
            assert (new.status, talk.is_over) == (200, True)
            told = [one.body for one in other.requests if one.method == "INVITE"][2:]
            assert all(b"RTP/AVP 8 0 101" in body for body in told), "of who has left"
            new.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())
