"""SUBSCRIBE and NOTIFY through a node: busy lamps, message lights, presence, registrations."""

from pathlib import Path

import pytest

from sipcore.config import parse_config
from sipcore.control import ControlFault
from sipcore.message.message import Headers, Request
from sipcore.message.notify import Counts
from sipcore.policy.book import Book, Rows
from sipcore.views import Views
from tests.sim.loop import simulate
from tests.sim.net import Place, Weather
from tests.sim.talking import check_all_is_over
from tests.sim.watching import Lamp
from tests.sim.world import OUTSIDE, World, world

ME = "sip:8001@acme.example"
SCARCE = parse_config("[limits]\nsubscriptions_per_extension = 2\nsubscriptions = 3\n")
SLOW = parse_config("[limits]\nsubscribes_per_s = 1\n")


async def _lamp(here: World, number: str = "8001", event: str = "dialog") -> Lamp:
    """Let the workshop's phone watch somebody."""
    phone = here.phone("8002", "workshop-8002")
    lamp = Lamp(phone, number, event)
    assert (await lamp.subscribe()).status == 200
    await here.pass_time(0.1)
    return lamp


async def _is_left_alone(here: World) -> None:
    """Check that nothing is left once every subscription is over."""
    await here.pass_time(800)
    assert len(here.node.watchers) == 0
    await check_all_is_over(here)


def test_a_lamp_follows_a_call_through_its_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            callee = await here.desk_phone()
            callee.on_invite = lambda talk: callee.ring(talk)
            caller = await here.desk_phone("8003", "laptop-8003")
            talk = caller.call("8001")
            await here.pass_time(2)
            other = "sip:8003@acme.example"
            assert lamp.shown() == [("early", "recipient", other)]
            callee.pick_up(callee.calls[0])
            await here.pass_time(2)
            assert lamp.shown() == [("confirmed", "recipient", other)]
            talk.hang_up()
            await here.pass_time(2)
            assert lamp.shown() == [("terminated", "recipient", other)]
            assert (await lamp.subscribe()).status == 200
            await here.pass_time(2)
            assert lamp.states() == [[], ["early"], ["confirmed"], ["terminated"], []]
            versions = [_version(one) for one in lamp.notifies]
            assert versions == [0, 1, 2, 3, 4]
            await _is_left_alone(here)

    simulate(main())


def _version(notify: Request) -> int:
    return int(notify.body.partition(b'dialog-info" version="')[2].partition(b'"')[0])


def test_the_callers_lamp_shows_whom_he_calls_inside_and_hides_who_is_outside(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            here.carrier()
            caller = await here.desk_phone()
            await here.desk_phone("8003", "laptop-8003")
            seen = []
            for number in ("8003", OUTSIDE):
                talk = caller.call(number)
                await talk.answered.wait()
                await here.pass_time(2)
                seen.append(lamp.shown())
                talk.hang_up()
                await here.pass_time(2)
            assert seen == [
                [("confirmed", "initiator", "sip:8003@acme.example")],
                [("confirmed", "initiator", "sip:anonymous@anonymous.invalid")],
            ]

    simulate(main())


def test_a_call_that_is_refused_by_a_rule_never_lights_a_lamp(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            caller = await here.desk_phone()
            await caller.call("8999").ended.wait()
            await here.pass_time(2)
            assert lamp.states() == [[]]

    simulate(main())


def test_a_lamp_that_is_lit_late_shows_the_call_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            caller = await here.desk_phone("8003", "laptop-8003")
            talk = caller.call("8001")
            await talk.answered.wait()
            lamp = await _lamp(here)
            assert lamp.states() == [["confirmed"]]
            talk.hang_up()
            await here.pass_time(2)
            assert lamp.states() == [["confirmed"], ["terminated"]]

    simulate(main())


def test_a_lamp_survives_a_network_that_loses_a_third(tmp_path: Path) -> None:
    weather = Weather(loss=0.33, doubling=0.1, delay_s=(0.001, 0.2))

    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            caller = await here.desk_phone()
            callee = await here.desk_phone("8003", "laptop-8003")
            here.net.weather = weather
            for _ in range(3):
                talk = caller.call("8003")
                await here.pass_time(20)
                talk.hang_up()
                await here.pass_time(40)
            here.net.weather = Weather()
            await here.pass_time(40)
            assert callee.calls
            assert [state for state in lamp.states()[-1] if state != "terminated"] == []
            assert len(here.node.watchers) == 1

    simulate(main())


def test_a_lost_notify_is_said_again_with_the_state_of_then(tmp_path: Path) -> None:
    """Lesson: one lost NOTIFY must not kill the lamp. Not even one lost for 32 s."""

    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            await here.desk_phone()
            caller = await here.desk_phone("8003", "laptop-8003")

            def drops(source: Place, to: Place, data: bytes) -> bool:
                return data.startswith(b"NOTIFY")

            here.net.drops = drops
            talk = caller.call("8001")
            await here.pass_time(10)
            talk.hang_up()
            await here.pass_time(25)
            here.net.drops = None
            await here.pass_time(10)
            assert lamp.states() == [[], ["terminated"]]
            assert len(here.node.watchers) == 1

    simulate(main())


def test_a_phone_that_is_silent_for_a_minute_is_told_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            lamp.phone.close()
            here.node.mailboxes.put(("acme", "8001"), Counts(new=1))
            caller = await here.desk_phone()
            caller.call("8003")
            await here.pass_time(70)
            assert len(here.node.watchers) == 0

    simulate(main())


def test_a_phone_that_forgot_its_subscription_is_told_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            lamp.forget()
            caller = await here.desk_phone()
            caller.call("8003")
            await here.pass_time(1)
            assert len(here.node.watchers) == 0

    simulate(main())


def test_a_phone_that_asks_for_time_gets_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            lamp.answers = [(503, {"Retry-After": ["10"]})]
            caller = await here.desk_phone()
            talk = caller.call("8003")
            await here.pass_time(30)
            assert lamp.at[2] - lamp.at[1] == pytest.approx(10, abs=0.3)
            talk.hang_up()

    simulate(main())


def test_changes_in_quick_succession_become_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here, "8002", "message-summary")
            for number in range(1, 8):
                here.node.mailboxes.put(("acme", "8002"), Counts(new=number))
                await here.pass_time(0.2)
            await here.pass_time(3)
            said = [one.body.split(b"Voice-Message: ")[1][:1] for one in lamp.notifies]
            assert said[0] == b"0"
            assert said[-1] == b"7"
            assert len(said) <= 4
            gaps = [after - before for before, after in zip(lamp.at, lamp.at[1:], strict=False)]
            assert min(gaps[1:]) >= 0.99

    simulate(main())


def test_a_message_light_is_off_till_something_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here, "8002", "message-summary")
            notify = lamp.notifies[0]
            assert notify.content_type == "application/simple-message-summary"
            assert notify.body == (
                b"Messages-Waiting: no\r\nMessage-Account: sip:8002@acme.example\r\n"
                b"Voice-Message: 0/0 (0/0)\r\n"
            )
            here.node.mailboxes.put(("acme", "8002"), Counts(2, 8, 1, 0))
            await here.pass_time(2)
            body = lamp.notifies[-1].body
            assert b"Messages-Waiting: yes\r\n" in body
            assert b"Voice-Message: 2/8 (1/0)\r\n" in body

    simulate(main())


def test_presence_is_open_while_registered_and_busy_while_talking(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here, event="presence")
            phone = await here.desk_phone()
            await here.desk_phone("8003", "laptop-8003")
            await here.pass_time(6)
            talk = phone.call("8003")
            await here.pass_time(6)
            talk.hang_up()
            await here.pass_time(6)
            await phone.register(0)
            await here.pass_time(6)
            said = [(b">open<" in one.body, b"on-the-phone" in one.body) for one in lamp.notifies]
            assert said == [
                (False, False),
                (True, False),
                (True, True),
                (True, False),
                (False, False),
            ]

    simulate(main())


def test_registrations_are_told_to_their_owner(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here, "8002", "reg")
            assert lamp.body[0].get("state") == "init"
            await lamp.phone.register(60)
            await here.pass_time(6)
            assert lamp.body[0].get("state") == "active"
            assert lamp.body[0][0][0].text == f"sip:8002@{lamp.phone.place[0]}:5060"
            await here.pass_time(75)
            assert lamp.body[0].get("state") == "terminated", "it has expired"

    simulate(main())


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
            await _is_left_alone(here)

    simulate(main())


def test_a_fetch_tells_the_state_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = Lamp(here.phone("8002", "workshop-8002"), "8001")
            assert (await lamp.subscribe(0)).first("Expires") == "0"
            await here.pass_time(1)
            assert [lamp.state, len(lamp.notifies)] == ["terminated;reason=timeout", 1]
            assert lamp.shown() == []
            await _is_left_alone(here)

    simulate(main())


def test_unsubscribing_is_answered_by_a_last_notify(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            assert (await lamp.subscribe(0)).status == 200
            await here.pass_time(1)
            assert [lamp.state, len(lamp.notifies)] == ["terminated;reason=timeout", 2]
            assert (await lamp.subscribe()).status == 481
            await _is_left_alone(here)

    simulate(main())


def test_a_refresh_is_judged_like_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
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
            lamp = await _lamp(here)
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
            lamp = await _lamp(here)
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
            lamp = await _lamp(here)
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
            lamp = await _lamp(here, "8003")
            here.node.change_book(_without(here.node.book, "8003"))
            assert (await lamp.subscribe()).status == 404
            await here.pass_time(1)
            assert lamp.state == "terminated;reason=noresource"
            await _is_left_alone(here)

    simulate(main())


def test_the_lamp_of_who_is_reached_by_a_forward_is_lit(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here)
            await here.desk_phone()
            soft = await here.desk_phone("8003", "laptop-8003")
            sent_on: Headers = {"Contact": ["<sip:8001@acme.example>"]}
            soft.on_invite = lambda talk: soft.refuse(talk, 302, sent_on)
            workshop = lamp.phone
            assert (await workshop.register()).status == 200
            talk = workshop.call("8003")
            await talk.answered.wait()
            await here.pass_time(2)
            assert lamp.shown() == [("confirmed", "recipient", "sip:8002@acme.example")]
            talk.hang_up()
            await here.pass_time(2)
            assert lamp.states()[-1] == ["terminated"]

    simulate(main())


def test_lamps_follow_a_call_that_is_transferred(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamps = [await _lamp(here, number) for number in ("8001", "8002", "8003")]
            front = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            await here.desk_phone("8003", "laptop-8003")
            talk = front.call("8003")
            await talk.answered.wait()
            await here.pass_time(2)
            talk.request("REFER", headers={"Refer-To": ["<sip:8002@acme.example>"]})
            await here.pass_time(3)
            talk.hang_up()
            await here.pass_time(3)
            assert [lamp.shown() for lamp in lamps] == [
                [("terminated", "initiator", "sip:8003@acme.example")],
                [("confirmed", "recipient", "sip:8003@acme.example")],
                [("confirmed", "recipient", "sip:8002@acme.example")],
            ]
            await here.node.end()
            await here.pass_time(3)
            assert here.node.watchers.by_package()["dialog",] == 0

    simulate(main())


def test_people_see_who_watches_and_set_what_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await _lamp(here, "8002", "message-summary")
            views = Views(here.node, here.store, here.folder, 0.0)
            table = await views.show("subscriptions")
            flow = f"udp:{lamp.phone.place[0]}:5060"
            row = ["acme", "8002", "message-summary", "8002", "resting", 300, flow]
            assert table.rows == [row]
            assert await views.mailbox("acme 8002 3 1")
            await here.pass_time(2)
            assert b"Voice-Message: 3/1 (0/0)" in lamp.notifies[-1].body
            for wrong in ("acme 8002 3", "acme 8002 x 1", "acme 8999 3 1", "acme 8002 999999 1"):
                with pytest.raises(ControlFault):
                    await views.mailbox(wrong)
            assert await views.mailbox("acme 8002 0 0")
            await here.pass_time(2)
            assert b"Messages-Waiting: no" in lamp.notifies[-1].body

    simulate(main())
