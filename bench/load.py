"""A load: several SIPp processes that together begin `rate` operations a second at one address."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import count, pairwise
from pathlib import Path

from msgspec import Struct

from bench import proc
from bench.provision import Phone, injection
from bench.sipp import Sipp, Statistics
from bench.stats import Trial, value_at

PER_PROCESS = 800  # operations a second; one SIPp saturates near 1,000 (lessons.md 38)
END_S = 12.0  # after the last operation began: retransmissions of what was lost take their time

_run_numbers = count(1)


class Load(Struct, frozen=True):
    """What to send, to whom, from which address.

    `carrier`: where a SIPp answers the calls, if anywhere.
    """

    scenario: str
    target: tuple[str, int]
    phones: list[Phone]
    core: int
    folder: Path
    carrier: tuple[str, int] | None = None
    source: str = "127.0.0.1"


class Window(Struct, frozen=True):
    """A part of a run: its operations, and what each process cost for 1,000 of them."""

    operations: float
    cost: Mapping[str, float]


class Run(Struct, frozen=True):
    """A whole run: what became of it, its windows, and how long each of their operations took."""

    trial: Trial
    windows: list[Window]
    delays_ms: list[float] = []
    complaint: str = ""


class Plan(Struct, frozen=True):
    """How long: `warm_s` unmeasured, then `windows` of `window_s` each."""

    warm_s: float
    window_s: float = 0.0
    windows: int = 0

    @property
    def seconds(self) -> float:
        return self.warm_s + self.window_s * self.windows


Hook = Callable[[float], None]


def run(
    load: Load, rate: int, plan: Plan, watched: Mapping[str, int], at_steady: Hook | None = None
) -> Run:
    """Load for the time of the plan. `watched`: pids of what is measured, by name.

    `at_steady` is called, with the seconds that are left, where the measured part begins.
    """
    with ExitStack() as held:
        folder = load.folder / f"run-{next(_run_numbers)}"
        answerers = []
        if load.carrier is not None:
            answerers.append(held.enter_context(answering(load, load.carrier, folder)))
            time.sleep(0.3)
        began = time.time()
        calling = [held.enter_context(one) for one in callers(load, rate, plan.seconds, folder)]
        pids = {name: [pid] for name, pid in watched.items()}
        pids["sipp"] = [one.pid for one in (*calling, *answerers)]
        readings = _watch(began, plan, pids, at_steady)
        _wait(calling, END_S + max(0.0, began + plan.seconds - time.time()))
        for one in (*calling, *answerers):
            one.stop()
        mine = [one.statistics() for one in calling]
        theirs = [one.statistics() for one in answerers]
        complaint = next((said for one in calling if (said := one.complaint())), "")
        delays = [ms for one in mine for at, ms in one.delays if at >= plan.warm_s]
        return Run(_trial(rate, plan, mine, theirs), _windows(readings, mine), delays, complaint)


def callers(load: Load, rate: int, seconds: float, folder: Path) -> list[Sipp]:
    """Split rate and phones over the processes."""
    processes = max(2, math.ceil(rate / PER_PROCESS))
    return [
        Sipp(
            folder / f"{load.scenario}-{at}",
            load.scenario,
            _options(load, at, processes, rate * (at + 1) // processes - rate * at // processes,
                     seconds, folder),
            load.core,
        )
        for at in range(processes)
    ]  # fmt: skip


def _options(
    load: Load, at: int, processes: int, rate: int, seconds: float, folder: Path
) -> list[str]:
    file = folder / f"phones-{at}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(injection(load.phones[at::processes]), "ascii")
    host, port = load.target
    return [
        f"{host}:{port}", "-i", load.source, "-inf", str(file), "-r", str(rate),
        "-m", str(int(rate * seconds)), "-l", str(rate * 4), "-timeout", f"{int(seconds + END_S)}s",
        "-max_retrans", "4",
    ]  # fmt: skip


def answering(load: Load, where: tuple[str, int], folder: Path) -> Sipp:
    options = ["-i", where[0], "-p", str(where[1]), "-timer_resol", "1"]
    return Sipp(folder / "carrier", "carrier", options, load.core)


def _watch(
    began: float, plan: Plan, pids: Mapping[str, list[int]], at_steady: Hook | None
) -> list[proc.Reading]:
    readings = []
    for at in range(plan.windows + 1 if plan.windows else 0):
        due = began + plan.warm_s + at * plan.window_s - (0.2 if at == plan.windows else 0)
        time.sleep(max(0.0, due - time.time()))  # the last one just before SIPp ends
        readings.append(proc.read(pids, time.time()))
        if at == 0 and at_steady is not None:
            at_steady(plan.window_s * plan.windows)
    return readings


def _wait(calling: list[Sipp], most_s: float) -> None:
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline and any(one.is_running for one in calling):
        time.sleep(0.1)


def _trial(rate: int, plan: Plan, mine: list[Statistics], theirs: list[Statistics]) -> Trial:
    created = sum(one.created for one in mine)
    done = sum(one.done for one in mine)
    lasted = max(
        (one.finished[-1][0] - one.finished[0][0] for one in mine if one.finished), default=0.0
    )
    return Trial(
        rate=rate,
        reached=created / max(plan.seconds, lasted) if lasted else 0.0,
        done=done,
        failed=created - done,
        retransmitted=sum(one.retransmitted for one in (*mine, *theirs)),
    )


def _windows(readings: list[proc.Reading], mine: list[Statistics]) -> list[Window]:
    windows = []
    for before, after in pairwise(readings):
        operations = sum(
            value_at(one.finished, after.at) - value_at(one.finished, before.at) for one in mine
        )
        if operations > 0:
            windows.append(Window(operations, proc.cost(before, after, operations)))
    return windows
