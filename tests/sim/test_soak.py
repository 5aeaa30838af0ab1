"""Thousands of calls in bad weather: whatever is lost, doubled or reordered, all end and nothing is
left. 500 calls in `make test`; `make long` runs the 10,000 that the issue names."""

import asyncio
import logging
import random
from pathlib import Path

import pytest

from tests.sim.loop import simulate
from tests.sim.net import Weather
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.world import OUTSIDE, World, world
from tests.store.files import DEMO, replaced

BAD = Weather(loss=0.08, doubling=0.05, delay_s=(0.001, 0.4))
PLANS = ", ".join(['"pbx-8-32"'] * 8)
MANY_CHANNELS = replaced(DEMO, ('plans = ["pbx-2-8", "ext-4"]', f"plans = [{PLANS}]"))
AT_ONCE = 25


def _behave(phone: Phone, dice: random.Random) -> None:
    """Let a phone treat each call that comes in its own way."""

    def on_invite(talk: Talk) -> None:
        loop = asyncio.get_running_loop()
        fate = dice.random()
        if fate < 0.15:
            phone.refuse(talk, dice.choice([404, 480, 486, 500, 503, 600, 603]))
            return
        if fate > 0.95:
            return  # says nothing at all
        loop.call_later(dice.uniform(0, 2), phone.ring, talk)
        if fate < 0.8:
            loop.call_later(dice.uniform(0, 6), phone.pick_up, talk)
            loop.call_later(dice.uniform(4, 30), _hang_up_at_times, talk, dice)

    phone.on_invite = on_invite


def _hang_up_at_times(talk: Talk, dice: random.Random) -> None:
    if dice.random() < 0.5:
        talk.hang_up()


async def _one_call(caller: Phone, dice: random.Random) -> None:
    """Call somebody; perhaps give up, hold, send a digit; in the end hang up, surely."""
    number = dice.choice(["8002", "8002", OUTSIDE, OUTSIDE, "02136413501", "7777", "110"])
    talk = caller.call(number, body=b"" if dice.random() < 0.1 else None)
    try:
        async with asyncio.timeout(dice.choice([0.2, 2, 90, 90, 90])):
            await talk.answered.wait()
    except TimeoutError:
        talk.hang_up()
    for _ in range(dice.randrange(4)):
        await asyncio.sleep(dice.uniform(0, 5))
        if talk.is_over or talk.dialog is None or not talk.dialog.is_confirmed:
            break
        what = dice.random()
        if what < 0.5:
            direction = dice.choice(["sendonly", "sendrecv"])
            talk.request("INVITE", sdp(caller.place, direction, version=2))
        elif what < 0.8:
            talk.request("INFO", b"Signal=1\r\n", {"Content-Type": ["application/dtmf-relay"]})
    await asyncio.sleep(dice.uniform(0, 10))
    talk.hang_up()


async def _soak(here: World, how_many: int, seed: int) -> None:
    dice = random.Random(seed)
    callers = [await here.desk_phone() for _ in range(3)]
    callees = [await here.desk_phone("8002", "workshop-8002") for _ in range(2)]
    for phone in (*callers, *callees, here.carrier(), here.carrier(("127.0.0.11", 25081))):
        _behave(phone, dice)
    here.net.keeps_record = False
    here.net.weather = BAD
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded() -> None:
        async with gate:
            await _one_call(dice.choice(callers), dice)

    async with asyncio.TaskGroup() as calls:
        for _ in range(how_many):
            calls.create_task(guarded())
    await here.pass_time(400)  # the longest: ringing outside, then timers B and H
    assert here.leftovers() == {}
    assert len({cdr.id for cdr in here.cdrs()}) == len(here.cdrs())
    assert here.bugs() == 0


def _run(folder: Path, how_many: int, seed: int, log: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with world(folder, seed=seed, provisioning=MANY_CHANNELS) as here:
            await _soak(here, how_many, seed)
            answered = [cdr for cdr in here.cdrs() if cdr.answered_at is not None]
            assert len(here.cdrs()) >= how_many // 2
            assert len(answered) >= how_many // 8

    simulate(main())
    assert [one.getMessage() for one in log.records if one.levelno >= logging.ERROR] == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_250_calls_in_bad_weather_leave_nothing(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    _run(tmp_path, 250, seed, caplog)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_10000_calls_in_bad_weather_leave_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _run(tmp_path, 10_000, 3, caplog)
