"""Message lights, presence and registrations, as a phone sees them; and people who set them."""

from pathlib import Path

import pytest

from sipcore.control import ControlFault
from sipcore.message.notify import Counts
from sipcore.views import Views
from tests.sim.loop import simulate
from tests.sim.watching import watch
from tests.sim.world import world


def test_a_message_light_is_off_till_something_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here, "8002", "message-summary")
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
            lamp = await watch(here, event="presence")
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
            lamp = await watch(here, "8002", "reg")
            assert lamp.body[0].get("state") == "init"
            await lamp.phone.register(60)
            await here.pass_time(6)
            assert lamp.body[0].get("state") == "active"
            assert lamp.body[0][0][0].text == f"sip:8002@{lamp.phone.place[0]}:5060"
            await here.pass_time(75)
            assert lamp.body[0].get("state") == "terminated", "it has expired"

    simulate(main())


def test_people_see_who_watches_and_set_what_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here, "8002", "message-summary")
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
