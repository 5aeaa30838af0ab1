"""The media bench's load through the real relays, a few calls for a moment."""

import os
from pathlib import Path

import pytest

from bench.relay import Relay
from bench.rtp_load import Loaded, Plan, RtpLoad
from bench.rtpengine import Rtpengine
from bench.worker import Worker
from tests.packages import require

pytestmark = pytest.mark.interop
CALLS = 5
PLAN = Plan(0.2, 0.4, 1000)


def carried_by(relay: Relay) -> Loaded:
    marks: list[float] = []
    with RtpLoad(CALLS) as load, relay:
        load.aim(relay.open(load.phones))
        loaded = load.run(PLAN, lambda: marks.append(relay.cpu_s()))
        relay.close()
    assert len(marks) == 2
    assert marks[0] <= marks[1]
    with pytest.raises(ProcessLookupError):
        os.kill(relay.pid, 0)
    return loaded


def check(loaded: Loaded) -> None:
    """What came is whole, once, in order, from the right port to the right phone.

    A buffer may drop what a machine under load held up: how much came is the bench's to judge.
    """
    assert (loaded.damaged, loaded.misrouted) == (0, 0)
    assert loaded.tally.sent == CALLS * 2 * len(PLAN.window)
    assert loaded.tally.loss < 0.5
    assert (loaded.tally.duplicates, loaded.tally.out_of_order) == (0, 0)
    assert loaded.tally.header_faults == 0


def test_a_worker_passes_the_load_on(tmp_path: Path) -> None:
    check(carried_by(Worker(tmp_path, max(os.sched_getaffinity(0)))))


def test_rtpengine_passes_the_load_on(tmp_path: Path) -> None:
    require("rtpengine")
    check(carried_by(Rtpengine(tmp_path, max(os.sched_getaffinity(0)))))
