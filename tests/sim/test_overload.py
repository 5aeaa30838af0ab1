"""A node that is asked for more than it can do: it does what it can, and recovers.

Without admission the same node falls into repeats, as a real one did beyond 675 calls a second.
"""

import asyncio
import random
from pathlib import Path

import pytest

from sipcore.call.admission import Admission
from sipcore.call.gate import EMERGENCIES_PER_S
from sipcore.config import parse_config
from sipcore.message.flow import Flow
from tests.message.samples import INVITE
from tests.sim.busy import SlowProcessor
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone, Talk
from tests.sim.talking import talking, two_desks
from tests.sim.world import NODE, PBX, World, world
from tests.store.files import DEMO, replaced

PBX_URI = 'uri = "sip:127.0.0.2:25090"'
PLANS = ", ".join(['"pbx-8-32"'] * 40)
MANY_CHANNELS = replaced(DEMO, ('plans = ["pbx-2-8", "ext-4"]', f"plans = [{PLANS}]"))
OPEN = parse_config(
    "[guard]\nmessages_per_s = 100000\ninvites_per_s = 100000\ncalls = 100000\n"
    "calls_per_extension = 100000\n"
    "[limits]\ncalls = 4000\n[media]\nports = [10000, 31999]\n"
)
CAPACITY = 35.0  # calls a second that it can do: 9 messages read, 8 sent
OVERLOAD_S, AFTER_S = 12, 14
LONG_NUMBER = (  # more digits than Python reads
    INVITE.replace(b"INVITE", b"REGISTER").replace(
        b"CSeq: 1", b"Authorization: Digest\r\nCSeq: " + 5000 * b"9"
    )
)


class _Open(Admission):
    """Lets all in, as a node did before it had admission."""

    def step(self, late_s: float) -> None:
        pass


class _Load:
    """Calls that hang up once they are answered, at random moments. `done`: when each ended."""

    def __init__(self, here: World, caller: Phone) -> None:
        self._here = here
        self._caller = caller
        self._random = random.Random(7)
        self.begun: list[tuple[float, Talk]] = []
        self.done: list[float] = []

    async def run(self, per_s: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time()
        end = at + seconds
        while (at := at + self._random.expovariate(per_s)) < end:
            await asyncio.sleep(at - loop.time())  # late ones are made up for
            self._here.beside(self._call())

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        talk = self._caller.call("8002")
        began = loop.time()
        self.begun.append((began, talk))
        answered = asyncio.ensure_future(talk.answered.wait())
        ended = asyncio.ensure_future(talk.ended.wait())
        await asyncio.wait([answered, ended], return_when=asyncio.FIRST_COMPLETED)
        if talk.answered.is_set():
            talk.hang_up()
            self.done.append(loop.time())
        answered.cancel()
        ended.cancel()

    def completed(self, since: float, until: float) -> int:
        return sum(since <= at < until for at in self.done)


async def _overload(here: World) -> tuple[_Load, float]:
    here.net.keeps_record = False
    caller = await here.desk_phone()
    await here.desk_phone("8002", "workshop-8002")
    SlowProcessor(here)
    load = _Load(here, caller)
    began = asyncio.get_running_loop().time()
    await load.run(CAPACITY * 2, OVERLOAD_S)
    await load.run(CAPACITY / 2, AFTER_S)
    return load, began


def _share_done(load: _Load, began: float) -> float:
    done = load.completed(began + 2, began + OVERLOAD_S)
    return done / (OVERLOAD_S - 2) / CAPACITY


@pytest.mark.timeout(120)
def test_at_twice_its_capacity_a_node_does_nine_tenths_of_it_and_recovers(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=MANY_CHANNELS, config=OPEN) as here:
            load, began = await _overload(here)
            assert _share_done(load, began) >= 0.9
            refused = [talk for _, talk in load.begun if talk.status == 503]
            assert len(refused) > CAPACITY * (OVERLOAD_S - 2) / 2
            waits = {talk.answers[-1].first("Retry-After") for talk in refused}
            assert len(waits) > 5, "jittered"
            late = [talk for at, talk in load.begun if began + OVERLOAD_S + 10 <= at]
            assert {talk.status for talk in late} <= {0, 200}, "recovered within 10 s"
            assert here.node.gate.admission.is_calm
            await here.pass_time(60)
            assert here.leftovers() == {}
            assert here.bugs() == 0

    simulate(main())


@pytest.mark.timeout(120)
def test_without_admission_the_same_node_falls_into_repeats(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=MANY_CHANNELS, config=OPEN) as here:
            here.node.gate.admission = _Open()
            load, began = await _overload(here)
            assert _share_done(load, began) < 0.7
            assert here.node.stack.repeats["in"] + here.node.stack.repeats["out"] > 1000

    simulate(main())


class _Shut(Admission):
    """Lets nothing new in."""

    def __init__(self) -> None:
        super().__init__()
        self.share = 0.5

    def step(self, late_s: float) -> None:
        pass

    def admits(self, dice: float, weight: float = 1.0) -> bool:
        return False


def test_what_is_in_work_and_emergency_calls_pass_a_node_that_takes_nothing_new(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, _ = await talking(here)
            callee.on_invite = callee.ring
            ringing = caller.call("8002")
            await here.pass_time(0.1)
            here.node.gate.admission = _Shut()
            refused = caller.call("8002")
            await refused.ended.wait()
            assert refused.status == 503
            assert (await caller.register()).status == 503
            talk.request("INFO", b"Signal=1\r\n", {"Content-Type": ["application/dtmf-relay"]})
            await here.pass_time(0.1)
            assert talk.replies == [("INFO", 200)]
            ringing.hang_up()
            await ringing.ended.wait()
            assert ringing.status == 487
            carrier = here.carrier()
            emergency = caller.call("120")
            await emergency.answered.wait()
            emergency.hang_up()
            await carrier.calls[0].ended.wait()
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_an_emergency_call_whose_number_stands_in_to_alone_is_let_in(tmp_path: Path) -> None:
    """As a PBX writes it whose profile has `number_in = "to"`."""
    by_to = replaced(DEMO, (PBX_URI, f'{PBX_URI}\n  profile = {{ number_in = "to" }}'))

    async def main() -> None:
        async with world(tmp_path, provisioning=by_to) as here:
            here.carrier()
            here.node.gate.admission = _Shut()
            pbx = here.phone("pbx", place=PBX)
            talk = pbx.call("gateway", {"To": ["<sip:110@10.0.0.1>"]})
            await talk.answered.wait()
            talk.hang_up()
            await here.pass_time(1)
            other = pbx.call("gateway", {"To": ["<sip:02188889999@10.0.0.1>"]})
            await other.ended.wait()
            assert other.status == 503

    simulate(main())


def test_a_repeat_of_what_is_in_work_is_no_new_work(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = callee.ring

            def drops(source: Place, to: Place, data: bytes) -> bool:
                return to == caller.place and b"CSeq: 2 INVITE" in data

            here.net.drops = drops  # the phone hears neither 100 nor 180, and repeats itself
            talk = caller.call("8002")
            await here.pass_time(0.1)
            here.node.gate.admission = _Shut()
            await here.pass_time(3)
            here.net.drops = None
            assert here.node.stack.repeats["in"] >= 2
            callee.pick_up(callee.calls[0])
            await talk.answered.wait()
            talk.hang_up()

    simulate(main())


def test_a_refusal_is_repeated_the_same_and_its_ack_is_not_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            here.node.gate.admission = _Shut()
            heard: list[bytes] = []

            def drops(source: Place, to: Place, data: bytes) -> bool:
                if data.startswith(b"SIP/2.0 503"):
                    heard.append(data)
                return data.startswith(b"SIP/2.0 503") and len(heard) < 3

            here.net.drops = drops
            talk = caller.call("8002")
            await talk.ended.wait()
            await here.pass_time(1)
            assert talk.status == 503
            assert [one == heard[0] for one in heard] == [True] * 3
            assert any(packet.data.startswith(b"ACK") for packet in here.net.sent)
            assert here.node.stack.absorbed["stray ACK"] == 0

    simulate(main())


@pytest.mark.parametrize(
    ("data", "is_read"),
    [
        (b"ACK sip:x SIP/2.0\r\n\r\n", False),
        (b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKguessed\r\n\r\n", False),
        (b"BYE sip:x SIP/2.0\r\nTo: <sip:x>;tag=guessed\r\n\r\n", False),
        (b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP\r\n 1.1.1.1;branch=z9hG4bK1\r\n\r\n", False),
        (INVITE, False),
        (INVITE.replace(b"sip:8002@", b"sip:110@"), True),
        (INVITE.replace(b"Contact:", b'Authorization: Digest nonce="00ff"\r\nContact:'), False),
        (LONG_NUMBER, False),
    ],
)
def test_what_strangers_send_has_a_share_whatever_it_looks_like(
    tmp_path: Path, data: bytes, is_read: bool
) -> None:
    """Else a flood of what a glance does not understand would pass a node that is busy."""

    async def main() -> None:
        async with world(tmp_path) as here:
            phone = await here.desk_phone()
            gate = here.node.gate
            gate.admission = _Shut()
            strangers = [(data, Flow("udp", *NODE, "203.0.113.9", 5060))]
            assert bool(gate.sift(strangers)) == is_read
            known = [(data, Flow("udp", *NODE, phone.place[0], 5060))]
            is_new = b"branch=z9hG4bK1;rport" in data
            assert bool(gate.sift(known)) == (is_read or not is_new)
            by_tcp = [(data, Flow("tcp", *NODE, "203.0.113.9", 5060, 7))]
            assert bool(gate.sift(by_tcp)) == (is_read or not is_new)

    simulate(main())


def test_a_busy_node_hears_replies_from_anywhere(tmp_path: Path) -> None:
    """A phone's Contact may be elsewhere than where it has registered from."""

    async def main() -> None:
        async with world(tmp_path) as here:
            phone = await here.desk_phone("8002", "workshop-8002")
            caller = await here.desk_phone()
            elsewhere = here.phone("8002", place=("10.0.3.3", 5060))
            contact = f"<sip:8002@{elsewhere.place[0]}>"
            assert (await phone.register(contact=contact)).status == 200
            assert (await phone.register(expires_s=0)).status == 200
            here.net.drops = lambda source, to, data: _close(here, data)
            talk = caller.call("8002")
            await talk.answered.wait()
            assert not here.node.gate.admission.is_calm
            talk.hang_up()

    def _close(here: World, data: bytes) -> bool:
        """Shut the gate once the call is on its way."""
        if data.startswith(b"INVITE") and b"sip:8002@10.0.3.3" in data.partition(b"\r\n")[0]:
            here.node.gate.admission = _Shut()
        return False

    simulate(main())


def test_strangers_in_masses_who_call_emergency_numbers_do_not_hold_up_the_node(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, config=OPEN) as here:
            phone = await here.desk_phone()
            gate = here.node.gate
            gate.admission = _Shut()
            data = INVITE.replace(b"sip:8002@", b"sip:110@")
            read = 0
            for number in range(1000):
                flow = Flow("udp", *NODE, f"198.18.{number >> 8}.{number & 255}", 5060)
                read += len(gate.sift([(data, flow)]))
            assert read == EMERGENCIES_PER_S
            here.carrier()
            emergency = phone.call("110")
            await emergency.answered.wait()
            emergency.hang_up()

    simulate(main())


def test_nothing_is_looked_at_while_the_node_is_calm(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            batch = [(b"ACK of anything", Flow("udp", *NODE, "10.0.0.9", 5060))]
            assert here.node.gate.sift(batch) == batch
            assert here.node.gate.admission.is_calm

    simulate(main())


def test_a_register_that_comes_again_gets_its_answer_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")

            def drops(source: Place, to: Place, data: bytes) -> bool:
                return to == phone.place and b"CSeq: 2 REGISTER" in data

            here.net.drops = drops
            registering = asyncio.ensure_future(phone.register())
            await here.pass_time(0.1)
            assert len(here.node.registrar) == 1
            here.node.gate.admission = _Shut()
            await here.pass_time(1)
            here.net.drops = None
            assert (await registering).status == 200
            other = here.phone("8002", "workshop-8002")
            assert (await other.register()).status == 503

    simulate(main())
