"""The charts of a bench under load, made of its runs. Pure; knows nothing of how they are drawn."""

from collections.abc import Mapping, Sequence

from bench.load import Run
from bench.report import Chart
from bench.stats import percentile, spread

LEAST_PERCENT = 1.0  # of a core: a process that never uses so much gets no line
SHARES = (0.5, 0.95, 0.99)
Runs = Mapping[str, Sequence[Run]]  # the runs of each program that was measured


def against_rate(what: str, unit: str, runs: Runs) -> list[Chart]:
    """Return CPU of each process and percentiles of the delay over the rates that held.

    A process is named by its program too where there are several programs.
    """
    held = {program: _held(several) for program, several in runs.items()}
    cpu = Chart(f"{what}: CPU against rate", f"{unit}/s", "CPU, % of one core", {})
    delay = Chart(f"{what}: delay to the 200 against rate", f"{unit}/s", "ms", {})
    for program, several in held.items():
        prefix = f"{program} " if len(held) > 1 else ""
        for name in several[0].windows[0].cost if several else ():
            points = [(one.trial.rate, _cpu_percent(one, name)) for one in several]
            if name != "sipp" and max(percent for _, percent in points) >= LEAST_PERCENT:
                cpu.lines[name if name == program else prefix + name] = points
        for share in SHARES if several else ():
            delay.lines[f"{prefix}{share:.0%}"] = [
                (one.trial.rate, percentile(one.delays_ms, share)) for one in several
            ]
    return [cpu, delay]


def distribution(title: str, runs: Mapping[str, Sequence[float]]) -> Chart:
    """Return the percentiles of delays in milliseconds, a line a program."""
    shares = [*range(1, 100), 99.5, 99.9]
    lines = {
        name: [(share, percentile(delays, share / 100)) for share in shares]
        for name, delays in runs.items()
        if delays
    }
    return Chart(title, "% of them", "done within, ms", lines)


def _held(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that held, by rate; the latest of those with the same rate."""
    found = {
        one.trial.rate: one for one in runs if one.trial.holds and one.windows and one.delays_ms
    }
    return [found[rate] for rate in sorted(found)]


def _cpu_percent(run: Run, name: str) -> float:
    """Return the share of a core: CPU seconds per 1,000 operations, at so many a second."""
    return spread(one.cost[name] for one in run.windows).median * run.trial.rate / 10
