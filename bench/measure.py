"""What every bench under load does: a steady run for the cost, a search for the highest rate."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from bench import charts, load, profile
from bench.load import Load, Plan, Run
from bench.node import Node, total
from bench.report import Report
from bench.stats import Trial, highest, percentile, spread

WARM_S = 34.0  # transactions live 32 s (64 T1): from here on as many end as begin
WINDOWS = 5
TRIAL = Plan(3.0, 5.0, 1)
LEAST_WINDOW_S = 2.0
SETTLE_S = 40.0  # a call that nobody wants any more goes after 32 s
SEARCH_S = 90.0  # no further trial begins after it
STALLS = {  # what others on the machine do to us, and we to ourselves
    "sipcore_loop_lag_seconds": "stalls of the event loop",
    "sipcore_journal_sync_seconds": "waits for the disk",
}


class Wishes(Struct, frozen=True):
    """What was asked for on the command line. `rate` 0: the bench's own.

    `with_peers`: other people's programs are measured beside ours.
    """

    seconds: float = 30.0
    rate: int = 0
    is_searching: bool = True
    profile: Path | None = None
    with_peers: bool = True


class Subject(Struct, frozen=True):
    """One kind of operation to measure: its words, its rates, the messages that it takes."""

    bench: str
    unit: str  # "calls"
    rate: int
    start: int  # the first rate of the search
    messages_in: int  # an operation, without repeats
    messages_out: int
    most_trials: int = 12
    ladder: tuple[int, ...] = ()  # rates below `start`, for the charts alone
    peer: str = ""  # whose program it is, if not ours


class Program(Protocol):
    """What can be put under load: its processes by name, and when it has nothing left to do."""

    pids: dict[str, int]

    def wait_idle(self, within_s: float) -> bool: ...


def say(words: str) -> None:
    """Show progress, apart from the figures."""
    print(f"[{time.strftime('%H:%M:%S')}] {words}", file=sys.stderr, flush=True)


def steady(subject: Subject, one: Load, node: Node, wishes: Wishes, report: Report) -> Run:
    """Load at a fixed rate; add the cost of each process to the report."""
    rate = wishes.rate or subject.rate
    plan = Plan(WARM_S, max(LEAST_WINDOW_S, wishes.seconds / WINDOWS), WINDOWS)
    say(
        f"{subject.bench}: {rate} {subject.unit}/s, {plan.warm_s:g} s to warm up, "
        f"then {WINDOWS} windows of {plan.window_s:g} s"
    )
    before = node.metrics()
    recordings: list[profile.Recording] = []
    ran = load.run(one, rate, plan, node.pids, _profiler(subject, node, wishes, recordings))
    for recording in recordings:
        recording.finish()
    node.wait_idle(SETTLE_S)
    _report_cost(subject, ran, rate, report)
    _report_delays(subject, ran, rate, report)
    _report_messages(subject, ran, before, node.metrics(), report)
    said = f"; SIPp: {ran.complaint}" if ran.complaint else ""
    if not ran.trial.holds:
        report.faults.append(words(ran.trial, subject) + said)
    elif ran.trial.failed:
        say(words(ran.trial, subject) + said)
    return ran


def search(subject: Subject, one: Load, program: Program, report: Report) -> list[Run]:
    """Find the highest rate that holds; return the trials. Names it by the peer, if it is one.

    It ends early, with what it knows, after SEARCH_S and where an overload has left calls behind.
    """
    who = f"{subject.peer}_" if subject.peer else ""
    runs: list[Run] = []
    deadline = time.monotonic() + SEARCH_S
    is_idle = True

    def trial(rate: int) -> Trial:
        nonlocal is_idle
        ran = load.run(one, rate, TRIAL, program.pids)
        is_idle = program.wait_idle(SETTLE_S)
        say(f"{subject.peer or subject.bench}: {words(ran.trial, subject)}")
        runs.append(ran)
        return ran.trial

    say(f"{subject.peer or subject.bench}: the highest rate, in trials of {TRIAL.seconds:g} s")
    for rate in subject.ladder:
        trial(rate)
    best, trials = highest(
        trial, subject.start, most_trials=subject.most_trials,
        may_go_on=lambda: is_idle and time.monotonic() < deadline,
    )  # fmt: skip
    most = best.rate if best else 0.0
    report.figures[f"{who}highest_rate"] = most
    report.rows.append(
        (
            f"{subject.peer} highest rate with < 0.1 % failed or retransmitted".strip(),
            f"{most:g} {subject.unit}/s ({len(trials)} trials of {TRIAL.seconds:g} s)",
        )
    )
    return runs


def _profiler(
    subject: Subject, node: Node, wishes: Wishes, recordings: list[profile.Recording]
) -> Callable[[float], None] | None:
    if wishes.profile is None:
        return None
    folder = wishes.profile
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{subject.bench}.raw"
    pid = node.pids["signalling"]
    return lambda seconds: recordings.append(profile.Recording(pid, seconds, path))


def _report_cost(subject: Subject, ran: Run, rate: int, report: Report) -> None:
    names = [*ran.windows[0].cost] if ran.windows else []
    report.rows.append(("rate of the steady part", f"{rate} {subject.unit}/s"))
    for name in names:
        found = spread(window.cost[name] for window in ran.windows)
        report.figures[f"{name}_cpu_s_per_1000"] = found.median
        report.rows.append((f"CPU s per 1,000 {subject.unit}: {name}", found.to_text()))
    if names:
        noise = spread(window.cost["signalling"] for window in ran.windows).noise
        report.figures["noise"] = noise
    report.figures |= {
        "steady_rate": float(rate),
        "steady_done": float(ran.trial.done),
        "steady_failed": float(ran.trial.failed),
        "steady_retransmitted": float(ran.trial.retransmitted),
    }
    report.rows.append(
        (
            "done / failed / retransmitted (SIPp, all parts)",
            f"{ran.trial.done} / {ran.trial.failed} / {ran.trial.retransmitted}",
        )
    )


def _report_delays(subject: Subject, ran: Run, rate: int, report: Report) -> None:
    """How long from the first request to the 200, challenge and ringing included."""
    if not ran.delays_ms:
        return
    found = {share: percentile(ran.delays_ms, share) for share in charts.SHARES}
    report.figures |= {f"delay_ms_{share * 100:.0f}": much for share, much in found.items()}
    report.rows.append(
        (
            "delay to the 200, ms: " + ", ".join(f"{share:.0%}" for share in found),
            ", ".join(f"{much:g}" for much in found.values()) + "  (SIPp's clock steps by 4 ms)",
        )
    )
    title = f"{subject.bench}: delay to the 200 at {rate} {subject.unit}/s"
    report.charts.append(charts.distribution(title, {"sipcore": ran.delays_ms}))


def _report_messages(
    subject: Subject,
    ran: Run,
    before: dict[str, float],
    after: dict[str, float],
    report: Report,
) -> None:
    """What the node counted beyond the flow: repeats that it received or sent."""
    extra = []
    for direction, usual in (("in", subject.messages_in), ("out", subject.messages_out)):
        label = f'direction="{direction}"'
        seen = total(after, "sipcore_messages_total", label) - total(
            before, "sipcore_messages_total", label
        )
        extra.append(int(seen - usual * ran.trial.done))
    bad = float(total(after, "sipcore_bad_messages_total"))
    report.figures |= {"extra_in": float(extra[0]), "extra_out": float(extra[1]), "bad": bad}
    report.rows.append(
        ("messages beyond the flow (node: in, out, bad)", f"{extra[0]}, {extra[1]}, {bad:g}")
    )
    for name, words in STALLS.items():
        counts = [
            total(page, f"{name}_count") - total(page, f"{name}_bucket", 'le="0.1"')
            for page in (before, after)
        ]
        report.figures[f"{name}_over_100_ms"] = counts[1] - counts[0]
        report.rows.append((f"{words} of more than 100 ms", f"{counts[1] - counts[0]:g}"))


def words(trial: Trial, subject: Subject) -> str:
    """Say what became of a load."""
    word = "holds" if trial.holds else "does not hold"
    return (
        f"{trial.rate:g} {subject.unit}/s {word}: began {trial.reached:.0f}/s, "
        f"{trial.done} done, {trial.failed} failed, {trial.retransmitted} retransmitted"
    )
