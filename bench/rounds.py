"""Two programs under the same load in turn, on the same core, round by round.

A round loads each of them for some seconds. What a program cost in a round is divided by the
calls that it carried in it: the calls of the rounds before end their transactions (32 s) in this
one, as many as will end later. What others do to the machine meets both alike.
"""

import math
import time
from collections.abc import Mapping

from msgspec import Struct

from bench import load, proc
from bench.load import Load, Plan, Run

WARM_S = 34.0  # 64 T1, and a little
ROUNDS = 4


class Side(Struct, frozen=True):
    """A program to be measured: its processes by name, and the load that is sent to it."""

    pids: Mapping[str, int]
    load: Load


class Round(Struct, frozen=True):
    """What became of each side, and what each process cost for 1,000 calls of its side."""

    runs: Mapping[str, Run]
    cost: Mapping[str, float]

    @property
    def holds(self) -> bool:
        return all(one.trial.holds for one in self.runs.values())


def compare(sides: Mapping[str, Side], rate: int, seconds: float) -> list[Round]:
    """Run the rounds, each with `seconds` of load for every side; leave out those that warm up.

    Processes of different sides have different names.
    """
    warm = math.ceil(WARM_S / (seconds * len(sides)))
    return [_round(sides, rate, seconds) for _ in range(warm + ROUNDS)][warm:]


def _round(sides: Mapping[str, Side], rate: int, seconds: float) -> Round:
    before = _read(sides)
    plan = Plan(0.0, seconds, 1)
    runs = {name: load.run(side.load, rate, plan, side.pids) for name, side in sides.items()}
    after = _read(sides)
    cost: dict[str, float] = {}
    for name, run in runs.items():
        cost |= proc.cost(before[name], after[name], max(run.trial.done, 1))
    return Round(runs, cost)


def _read(sides: Mapping[str, Side]) -> dict[str, proc.Reading]:
    return {
        name: proc.read({process: [pid] for process, pid in side.pids.items()}, time.time())
        for name, side in sides.items()
    }
