"""SUBSCRIBE: who may watch whom, how long, how many; and how it ends."""

from pathlib import Path

import pytest

from sipcore.config import parse_config
from sipcore.policy.book import Book, Rows
from tests.sim.loop import simulate
from tests.sim.talking import check_all_is_over
from tests.sim.watching import Lamp, check_left_alone, watch
from tests.sim.world import world

ME = "sip:8001@acme.example"
SCARCE = parse_config("[limits]\nsubscriptions_per_extension = 2\nsubscriptions = 3\n")
SLOW = parse_config("[limits]\nsubscribes_per_s = 1\n")


def test_the_unauthorised_are_challenged_and_told_nothing(tmp_path: Path) -> None:
    """Lesson: 401 without its challenge made phones ask 50 million times a day."""

    async def main() -> None:
        async with world(tmp_path) as here:
            for password in ("", "guess"):
                lamp = Lamp(here.phone("8002", password), "8001")
                answer = await lamp.subscribe()
                assert answer.status == 401
                assert answer.first("WWW-Authenticate")
            await here.pass_time(40)
            assert not any(one.data.startswith(b"NOTIFY") for one in here.net.sent)
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize(
    ("watched", "event", "status"),
    [
        ("sip:8001@beta.example", "dialog", 403),
        ("sip:02136413599@beta.example", "presence", 403),
        (ME, "message-summary", 403),
        (ME, "reg", 403),
        ("sip:8999@acme.example", "dialog", 404),
        ("sip:10.0.0.1", "dialog", 200),
        ("sip:8001@10.0.0.1", "dialog", 200),
        (ME, "dialog;id=7", 200),
        (ME, "Dialog", 200),
        (ME, "conference", 489),
        (ME, "", 489),
    ],
)
def test_who_may_watch_what(tmp_path: Path, watched: str, event: str, status: int) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = Lamp(here.phone("8002", "workshop-8002"), "", event)
            lamp.uri = watched
            answer = await lamp.subscribe()
            assert answer.status == status
            if status in (403, 404):
                assert int(answer.first("Retry-After") or 0) >= 60
            if status == 489:
                assert answer.tokens("Allow-Events") == [
                    "message-summary",
                    "dialog",
                    "reg",
                    "presence",
                ]
            await here.pass_time(1)
            assert len(lamp.notifies) == (status == 200)
            if status == 200:
                assert lamp.notifies[0].first("Event") == event.lower()

    simulate(main())


def test_a_pbx_watches_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            pbx = here.phone("beta-pbx", "beta-pbx-secret")
            pbx.domain = "beta.example"
            assert (await Lamp(pbx, "beta-pbx", "reg").subscribe()).status == 403

    simulate(main())


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8002", "workshop-8002")
            short = await Lamp(phone, "8001").subscribe(59)
            assert (short.status, short.first("Min-Expires")) == (423, "60")
            other = await Lamp(phone, "8001").subscribe(Accept="application/rlmi+xml")
            assert (other.status, other.first("Accept")) == (406, "application/dialog-info+xml")
            listed = await Lamp(phone, "8001").subscribe(Require="eventlist")
            assert (listed.status, listed.first("Unsupported")) == (420, "eventlist")
            assert (await Lamp(phone, "8001").subscribe(Contact="<tel:1>")).status == 400
            assert (await Lamp(phone, "8001", f"dialog;id={'x' * 65}").subscribe()).status == 400
            assert len(here.node.watchers) == 0

    simulate(main())


def test_how_long_it_lasts_is_told_and_then_it_is_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = Lamp(here.phone("8002", "workshop-8002"), "8001")
            answer = await lamp.subscribe(86400)
            assert answer.first("Expires") == "600"
            await here.pass_time(300)
            assert (await lamp.subscribe(None)).status == 200
            await here.pass_time(590)
            assert lamp.state == "active;expires=600"
            await here.pass_time(25)
            assert lamp.state == "terminated;reason=timeout"
            await check_left_alone(here)

    simulate(main())


def test_a_fetch_tells_the_state_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = Lamp(here.phone("8002", "workshop-8002"), "8001")
            assert (await lamp.subscribe(0)).first("Expires") == "0"
            await here.pass_time(1)
            assert [lamp.state, len(lamp.notifies)] == ["terminated;reason=timeout", 1]
            assert lamp.shown() == []
            await check_left_alone(here)

    simulate(main())


def test_unsubscribing_is_answered_by_a_last_notify(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            assert (await lamp.subscribe(0)).status == 200
            await here.pass_time(1)
            assert [lamp.state, len(lamp.notifies)] == ["terminated;reason=timeout", 2]
            assert (await lamp.subscribe()).status == 481
            await check_left_alone(here)

    simulate(main())


def test_a_refresh_is_judged_like_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            lamp.event = "dialog;id=2"
            assert (await lamp.subscribe()).status == 481, "another subscription"
            lamp.event, lamp.phone.password = "dialog", ""
            answer = await lamp.subscribe()
            assert answer.status == 401
            assert answer.first("WWW-Authenticate")
            assert len(here.node.watchers) == 1

    simulate(main())


def test_what_is_no_subscribe_has_no_place_in_a_subscription(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            assert lamp.dialog is not None
            request = lamp.dialog.request("INFO")
            assert (await lamp._ask(request)).status == 405

    simulate(main())


def test_there_are_so_many_for_each_and_so_many_in_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=SCARCE) as here:
            workshop = here.phone("8002", "workshop-8002")
            lamps = [Lamp(workshop, "8001") for _ in range(3)]
            assert [(await one.subscribe()).status for one in lamps] == [200, 200, 403]
            laptop = here.phone("8003", "laptop-8003")
            more = [await Lamp(laptop, "8001").subscribe() for _ in range(2)]
            assert [one.status for one in more] == [200, 503]
            assert all(one.first("Retry-After") for one in more[1:])
            await lamps[0].subscribe(0)
            await here.pass_time(1)
            assert (await Lamp(laptop, "8001").subscribe()).status == 200

    simulate(main())


def test_too_many_at_once_are_put_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=SLOW) as here:
            phone = here.phone("8002")
            assert (await Lamp(phone, "8001").subscribe()).status == 401
            answer = await Lamp(phone, "8001").subscribe()
            assert (answer.status, answer.first("Retry-After")) == (503, "5")

    simulate(main())


def test_a_phone_that_repeats_what_was_refused_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = Lamp(here.phone("8002", "workshop-8002"), "8999")
            for _ in range(100):
                assert (await lamp.subscribe()).status == 404
                await here.pass_time(0.1)
            assert here.node.stack.count() == 0
            assert not any(one.data.startswith(b"NOTIFY") for one in here.net.sent)

    simulate(main())


def test_after_a_crash_the_phone_subscribes_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            here.crash()
            await here.restart()
            assert (await lamp.subscribe()).status == 481
            again = Lamp(lamp.phone, "8001")
            assert (await again.subscribe()).status == 200
            await here.pass_time(0.1)
            assert again.states() == [[]]

    simulate(main())


def test_a_node_that_stops_tells_phones_to_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            await here.node.drain(1)
            assert lamp.state.startswith("terminated;reason=probation;retry-after=")
            assert 5 <= int(lamp.state.rpartition("=")[2]) < 10
            assert len(here.node.watchers) == 0
            late = Lamp(lamp.phone, "8001")
            assert (await late.subscribe()).status == 503

    simulate(main())


def _without(book: Book, number: str) -> Book:
    """Return what is provisioned for the workshop's phone, without one extension."""
    customer, me = book.customers["acme"], book.identity("8002", "acme.example")
    assert me is not None
    return Book(
        Rows(
            customers=[customer],
            accounts=[book.accounts["acme-1"]],
            extensions=[one for one in book.extensions_of("acme").values() if one.number != number],
            identities=[me],
        )
    )


def test_a_target_that_is_gone_is_not_found_any_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here, "8003")
            here.node.change_book(_without(here.node.book, "8003"))
            assert (await lamp.subscribe()).status == 404
            await here.pass_time(1)
            assert lamp.state == "terminated;reason=noresource"
            await check_left_alone(here)

    simulate(main())
