"""Generated calls: what their dice say, who takes part, and whether the two that are left agree.

`python -m tests.sim.interleaving SEED CASE` shows a failure again.
"""

import asyncio
import logging
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sipcore.call.call import Call
from sipcore.message.message import Request
from sipcore.message.uri import Uri
from tests.sim.loop import simulate
from tests.sim.net import Weather
from tests.sim.parties import disagreement
from tests.sim.party import Habits, Party, PartyPhone
from tests.sim.phone import Talk
from tests.sim.transferring import FOUR
from tests.sim.world import CARRIER_A, CARRIER_B, World, world
from tests.store.files import replaced

PLANS = ", ".join(['"pbx-8-32"'] * 16)
MANY_CHANNELS = replaced(
    FOUR,
    ('plans = ["pbx-2-8", "ext-4"]', f"plans = [{PLANS}]"),
    ("  record = true", "  record = false"),
)
AT_ONCE = 50
A_WORLD = 1000  # cases that share a node and its network
REFERS = 0.25  # share of the cases in which somebody may be transferred
TAKES = 0.3  # in which a colleague may take a place by INVITE with Replaces
FORKS = 0.25  # in which an extension with three devices is called
DEFLECTS = 0.3  # of these: a device may send it on
LEAST_FORWARDS = 12  # of such a case; how many more tells them apart
FAIR = Weather(delay_s=(0.001, 0.15))
FOUL = Weather(loss=0.07, doubling=0.03, delay_s=(0.001, 0.4))
SETTLES_S = {FAIR: 12.0, FOUL: 40.0}  # before both sides must agree
OVER_S = 70.0


class Case:
    """One call: what its dice say, and who takes part."""

    def __init__(self, seed: int, number: int) -> None:
        self.name = f"seed {seed} case {number}"
        self.dialled = f"0218{number % 10_000_000:07d}"
        self.dice = random.Random(f"{seed} {number}")
        self.is_plain = self.dice.random() < 0.4  # nothing early, so that refusals change nothing
        self.transfers = self.dice.random() < REFERS
        self.takes = self.dice.random() < TAKES
        self.target = f"0219{number % 10_000_000:07d}"
        self.forwards = LEAST_FORWARDS + number % AT_ONCE
        if self.dice.random() < FORKS:
            self.dialled = "8002"
        self.deflects = self.dice.random() < DEFLECTS
        self.taker: PartyPhone | None = None
        self.parties: list[Party] = []  # the caller, whoever rang, and whoever came to it
        self.fault = ""

    def habits(self) -> Habits:
        dice = self.dice
        made = Habits(random.Random(dice.random()))
        made.has_update = dice.random() < 0.6
        made.has_reliable = not self.is_plain and dice.random() < 0.6
        made.requires_reliable = made.has_reliable and dice.random() < 0.2
        made.timer_s = dice.choice([0, 0, 90, 600])
        made.wavers = dice.choice([0, 0.3])
        is_among_two = not self.transfers and not self.takes  # who refuses what is news disagrees
        made.refuses = 0.2 if self.is_plain and is_among_two else 0.0
        return made

    def later(self, most_s: float, act: object, *given: object) -> None:
        assert callable(act)
        asyncio.get_running_loop().call_later(self.dice.uniform(0, most_s), act, *given)

    def be_called(self, b: Party) -> None:
        """Ring in some way, and answer or not."""
        self.parties.append(b)
        dice = self.dice
        fate = dice.random()
        if self.dialled == "8002" and self.deflects and dice.random() < 0.5:
            b.phone.refuse(b, 302, {"Contact": [f"<sip:{self.target}@acme.example>"]})
            return
        if fate < 0.1:
            b.phone.refuse(b, dice.choice([404, 480, 486, 600]))
            return
        for _ in range(dice.randrange(3)):
            self.later(1.5, self._ring, b, dice.choice([180, 183]))
        if fate < 0.85:
            self.later(2.5, b.pick_up)

    def take_transfer(self, c: Party) -> None:
        """Be whom a REFER names: answer or not, but say so soon."""
        self.parties.append(c)
        if self.dice.random() < 0.3:
            c.phone.refuse(c, 486)
            return
        self.later(1.0, c.ring)
        self.later(2.0, c.pick_up)

    def _ring(self, b: Party, status: int) -> None:
        dice = self.dice
        has_sdp = not self.is_plain and dice.random() < 0.7 and b.asked is not None
        body = b.sdp(None, "8 101") if has_sdp else b""
        b.ring(status, body, is_reliable=dice.random() < 0.7)
        if dice.random() < 0.4 and not self.is_plain:
            self.later(1.0, self._early_update, b)

    def _early_update(self, one: Party) -> None:
        if one.agreed is not None and not one.is_over:
            one.update()

    def _early_key(self, one: Party) -> None:
        """Press a key before the answer, in whatever early dialog there is."""
        if one.dialog is not None and not one.is_over:
            one.request("INFO", b"Signal=5\r\n", {"Content-Type": ["application/dtmf-relay"]})

    def _take_place(self, one: Party) -> None:
        """Let a colleague ask for a party's place, be it in a talk or while it rings."""
        if one.dialog is None or self.taker is None:
            return
        ours, theirs = one.dialog.remote_tag, one.dialog.local_tag
        named = f"{one.dialog.call_id};to-tag={ours};from-tag={theirs}"
        is_delayed = not self.is_plain and self.dice.random() < 0.25
        told = {"Replaces": [named]}
        taken = self.taker.begin("8001", self.habits(), headers=told, is_delayed=is_delayed)
        self.parties.append(taken)

    def act(self) -> None:
        """Let one side do something, whatever else goes on."""
        if not self.parties or (one := self.dice.choice(self.parties)).is_over:
            return
        if self.takes and self.dice.random() < 0.25:
            self._take_place(one)
            return
        if not one.is_up:
            (self._early_key if self.dice.random() < 0.3 else self._early_update)(one)
            return
        what = self.dice.random()
        if self.transfers and self.dice.random() < 0.25:
            one.request("REFER", b"", {"Refer-To": [f"<sip:{self.target}@acme.example>"]})
        elif what < 0.4:
            one.hold_or_so(is_delayed=self.dice.random() < 0.2)
        elif what < 0.7:
            one.update()
        elif what < 0.8:
            one.cancel_re_invite()
        elif what < 0.92:
            one.request("INFO", b"Signal=1\r\n", {"Content-Type": ["application/dtmf-relay"]})
        elif what < 0.98:
            one.hang_up()

    async def run(self, caller: PartyPhone, settles_s: float) -> None:
        """Call, let things happen, look whether both sides agree, hang up."""
        dice = self.dice
        await asyncio.sleep(dice.uniform(0, 2))
        is_delayed = not self.is_plain and dice.random() < 0.25
        told = {"Max-Forwards": [str(self.forwards)]}
        a = caller.begin(self.dialled, self.habits(), is_delayed=is_delayed, headers=told)
        self.parties.insert(0, a)
        if dice.random() < 0.1:
            self.later(3, a.hang_up)
        for _ in range(dice.randrange(8)):
            self.later(6, self.act)
        await asyncio.sleep(6 + settles_s)
        up = [one for one in self.parties if one.is_up]
        if len(up) == 2:
            one, other = up if dice.random() < 0.5 else up[::-1]
            self.fault = disagreement(one, other)
            if dice.random() < 0.3:
                one.hold_or_so()
            other.hang_up()
        for one in list(self.parties):
            one.hang_up()

    def verdict(self) -> str:
        """Say what was wrong; "" for nothing."""
        faults = [self.fault] if self.fault else []
        for one in self.parties:
            faults += one.faults
            faults += [] if one.is_over else [f"{one.phone.user} is not over"]
        return f"{self.name}: {', '.join(faults)}" if faults else ""


async def _listen(here: World, rung: list[str]) -> None:
    """Note the calls in which somebody who talks hears a ringback tone, transfers aside."""
    while True:
        await asyncio.sleep(0.5)
        for call in here.node.desk.calls.values():
            if isinstance(call, Call) and call.talking and not call.talking.has_transfer:
                rung += [call.id] if call.media.ringback is not None else []


async def _batch(
    here: World, phones: tuple[PartyPhone, ...], cases: list[Case], weather: Weather
) -> None:
    by_number = {case.dialled: case for case in cases} | {case.target: case for case in cases}
    by_forwards = {case.forwards: case for case in cases}
    caller, taker, *called = phones

    def number_of(request: Request) -> str:
        return "0" + (Uri.parse(request.uri).user or "")[-10:]

    def case_of(request: Request) -> Case:
        number = number_of(request)
        if number in by_number:
            return by_number[number]
        return by_forwards[(request.number("Max-Forwards", 255) or 0) + 1]

    def on_invite(talk: Talk) -> None:
        assert isinstance(talk, Party)
        assert talk.invite is not None
        case, number = case_of(talk.invite.request), number_of(talk.invite.request)
        (case.take_transfer if number == case.target else case.be_called)(talk)

    for case in cases:
        case.taker = taker
    for one in called:
        one.habits_of = lambda request: case_of(request).habits()
        one.on_invite = on_invite
    here.net.weather = weather
    rung: list[str] = []
    listening = here.beside(_listen(here, rung))
    await asyncio.gather(*(case.run(caller, SETTLES_S[weather]) for case in cases))
    listening.cancel()
    await here.pass_time(OVER_S)
    faults = [fault for case in cases if (fault := case.verdict())]
    assert faults == []
    where = f"{cases[0].name} to {cases[-1].name}"
    assert here.leftovers() == {}, where
    assert rung == [], where
    assert [one.stack.count() for one in phones] == [0] * len(phones), where
    assert here.bugs() == 0, where
    for one in phones:
        one.calls.clear()


async def _phones(here: World) -> tuple[PartyPhone, ...]:
    """Set up who calls, who takes places, three devices of one extension, two carriers."""
    users = [("8001", "front-desk-8001"), ("8004", "store-8004"), *[("8002", "workshop-8002")] * 3]
    phones = [
        PartyPhone(here.net, (f"10.0.1.{at}", 5060), *user) for at, user in enumerate(users, 1)
    ]
    for one in phones:
        here.phones.append(one)
        assert (await one.register(360_000)).status == 200
    carriers = [PartyPhone(here.net, at, "carrier") for at in (CARRIER_A, CARRIER_B)]
    here.phones += carriers
    return (*phones, *carriers)


async def _in_one_world(folder: Path, seed: int, numbers: range) -> None:
    """Run cases by batches, the same way whatever ran in other worlds."""
    async with world(folder, seed=seed + numbers.start, provisioning=MANY_CHANNELS) as here:
        here.net.keeps_record = False
        phones = await _phones(here)
        for first in numbers[::AT_ONCE]:
            cases = [Case(seed, number) for number in range(first, first + AT_ONCE)]
            weather = FOUL if (first // AT_ONCE) % 3 == 2 else FAIR
            await _batch(here, phones, cases, weather)
        ids = [cdr.id for cdr in here.cdrs()]
        assert len(ids) == len(set(ids))
        assert len(ids) >= len(numbers) * 0.9, "an INVITE may be lost for good, not many"


def run(folder: Path, how_many: int, seed: int, log: pytest.LogCaptureFixture) -> None:
    """Run so many cases, by thousands."""
    for first in range(0, how_many, A_WORLD):
        numbers = range(first, min(first + A_WORLD, how_many))
        (here := folder / str(first)).mkdir()
        simulate(_in_one_world(here, seed, numbers))
    assert [one.getMessage() for one in log.records if one.levelno >= logging.ERROR] == []


def show_again(seed: int, case: int) -> None:
    """Run a case once more, after those that were before it in its world: up to five seconds."""
    first, last = case // A_WORLD * A_WORLD, case // AT_ONCE * AT_ONCE + AT_ONCE
    with TemporaryDirectory() as folder:
        simulate(_in_one_world(Path(folder), seed, range(first, last)))


if __name__ == "__main__":
    show_again(int(sys.argv[1]), int(sys.argv[2]))
