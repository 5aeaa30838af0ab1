"""sipcore's media worker and rtpengine in one run: the cost of a packet, and the most calls.

A call: two phones, G.711 in packets of 20 ms, both ways. The same load and sink for both; the relay
has one core, the load the other. Every packet is looked at.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import rtpengine
from bench.level import MOST_OTHERS, Level, Peer, Trials
from bench.measure import Wishes, say
from bench.report import Chart, Report
from bench.rtp_check import PERCENTILES
from bench.stats import MOST_LOSS, Spread, highest, spread
from bench.worker import Worker

CALLS = 1000  # near the most that rtpengine carries: what a core costs when it is used
RUNS = 3
LEAST_RUN_S = 2.0
FEW = 100  # calls, for the charts; the rest of their points comes of the other parts
START = 800
TRIAL_S = 3.0
WHOLE_TRIAL_S = 8.5  # with its opening, warming up and closing
MOST_TRIALS = 8
REST_S = 155.0  # what the bench may take beside the windows of the steady part
SLACK_MS = 20.0  # over the delay that the relay means to add
JITTER_MS = 20.0  # sipcore's lower bound (worker.Settings)
DIFFERENCES = (
    "sipcore: jitter buffer (20 ms at least, in every delay), source check, RFC 3550 statistics, "
    "its own SSRC, sequence and timestamps, RTCP reports of its own",
    "rtpengine: passes at once, user space, one thread; source learned at the first packet; "
    "statistics of its own; header as it came; no RTCP of its own",
)
SIPCORE = Peer("sipcore", Worker, JITTER_MS + SLACK_MS)
RTPENGINE = Peer("rtpengine", rtpengine.Rtpengine, SLACK_MS)


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the load's and the relay's. `wishes.rate`: calls of the steady part."""
    report = Report("media")
    peers = [SIPCORE, RTPENGINE] if wishes.with_peers else [SIPCORE]
    limit_s = REST_S + wishes.seconds * len(peers)
    trials = Trials(folder, cores, limit_s, wishes.profile)
    _steady(peers, trials, wishes, report)
    if wishes.is_searching:
        for peer in peers:
            trials.run(peer, FEW, TRIAL_S)
        for left, peer in zip(range(len(peers), 0, -1), peers, strict=True):
            _search(peer, trials, trials.left_s / left, report)
    report.rows += [("differences", words) for words in DIFFERENCES]
    report.charts += charts(trials.levels)
    return report


def _steady(peers: Sequence[Peer], trials: Trials, wishes: Wishes, report: Report) -> None:
    """Run the relays in turn at one load; medians of the cost and of the delays."""
    calls = wishes.rate or CALLS
    seconds = max(LEAST_RUN_S, wishes.seconds / RUNS)
    say(f"media: {calls} calls, {RUNS} runs of {seconds:g} s each, in turn")
    report.rows.append(("load of the steady part", f"{calls} calls, {calls * 100} packets/s"))
    report.figures["steady_calls"] = float(calls)
    runs: dict[str, list[Level]] = {peer.name: [] for peer in peers}
    for _ in range(RUNS):
        for peer in peers:
            runs[peer.name].append(trials.run(peer, calls, seconds))
    for name, levels in runs.items():
        _report_cost(name, levels, report)
        _report_packets(name, levels, report)
    every = [one for levels in runs.values() for one in levels]
    if len(peers) > 1 and all(one.loaded.tally.loss < MOST_LOSS for one in every):
        pairs = zip(runs["sipcore"], runs["rtpengine"], strict=True)
        ratios = spread(mine.us_per_packet / its.us_per_packet for mine, its in pairs)
        report.figures["cpu_ratio_to_rtpengine"] = ratios.median
        report.rows.append(("CPU of sipcore by that of rtpengine", _range(ratios)))


def _report_cost(name: str, levels: Sequence[Level], report: Report) -> None:
    found = spread(level.us_per_packet for level in levels)
    report.figures[f"{name}_cpu_s_per_million"] = found.median
    report.figures[f"{name}_noise"] = found.noise
    report.rows.append((f"CPU s per million packets: {name}", _range(found)))
    others = max(level.others for level in levels)
    report.figures[f"{name}_others"] = others
    if others > MOST_OTHERS:
        report.rows.append((f"{name}: other programs on its core", f"{others:.0%} at worst"))


def _report_packets(name: str, levels: Sequence[Level], report: Report) -> None:
    tallies = [level.loaded.tally for level in levels]
    counts = [
        sum(one.sent for one in tallies),
        sum(one.lost for one in tallies),
        sum(one.late for one in tallies),
    ]
    bound = levels[0].bound_ms
    report.rows.append(
        (f"{name}: packets / lost / later than {bound:g} ms", " / ".join(map(str, counts)))
    )
    delays = [spread(one.delays_ms[at] for one in tallies).median for at in range(len(PERCENTILES))]
    words = ", ".join(f"p{at:g} {ms:.1f}" for at, ms in zip(PERCENTILES, delays, strict=True))
    report.rows.append((f"{name}: delay, ms", words))
    report.figures |= {f"{name}_sent": float(counts[0]), f"{name}_lost": float(counts[1])}
    for at, ms in zip(PERCENTILES, delays, strict=True):
        report.figures[f"{name}_delay_p{at:g}_ms".replace(".", "_")] = ms
    late = max(level.loaded.lateness_ms for level in levels)
    report.rows.append((f"{name}: the load was late, p99", f"{late:.2f} ms at worst"))
    report.faults += [level.words() for level in levels if not level.holds]
    report.faults += [fault for level in levels for fault in level.complaints()]


def _search(peer: Peer, trials: Trials, within_s: float, report: Report) -> None:
    """Find the most calls that hold."""
    say(f"media: the most calls of {peer.name}, in trials of {TRIAL_S:g} s")
    most = min(MOST_TRIALS, max(1, int(within_s / WHOLE_TRIAL_S)))
    _, tried = highest(lambda calls: trials.run(peer, calls, TRIAL_S), START, most_trials=most)
    held = [one for one in trials.levels if one.relay == peer.name and one.holds]
    calls = max((one.calls for one in held), default=0)
    name = "highest_calls" if peer is SIPCORE else f"{peer.name}_highest_calls"
    report.figures[name] = float(calls)
    words = f"{calls} calls ({len(tried)} trials of {TRIAL_S:g} s)"
    above = [one for one in trials.levels if one.relay == peer.name and one.calls > calls]
    if any(one.is_load_at_fault for one in above):
        words += "; above that the load itself was late or lost packets"
    if any(one.is_disturbed for one in above):
        words += "; above that other programs took part of the core"
    bounds = f"loss < 0.1 %, p99 <= {peer.bound_ms:g} ms"
    report.rows.append((f"{peer.name}: most calls, {bounds}", words))
    report.faults += [fault for one in tried if one.holds for fault in one.complaints()]


def charts(levels: Iterable[Level]) -> list[Chart]:
    """Draw what held: CPU against rate, and each relay's delays against calls."""
    held = [one for one in levels if one.holds]
    names = list(dict.fromkeys(one.relay for one in held))
    by_relay = {name: [one for one in held if one.relay == name] for name in names}
    cpu = {
        name: _line((one.packets_per_s, one.cpu_s / one.seconds * 100) for one in some)
        for name, some in by_relay.items()
    }
    found = [Chart("media: CPU against rate", "packets/s", "CPU, % of one core", cpu)]
    for name, some in by_relay.items():
        lines = {
            f"p{percentile:g}": _line((one.calls, one.loaded.tally.delays_ms[at]) for one in some)
            for at, percentile in enumerate(PERCENTILES)
        }
        found.append(Chart(f"media: delay through {name}", "calls", "ms", lines))
    return found


def _line(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Sort the points; of those that stand at one place take the median."""
    places: dict[float, list[float]] = {}
    for x, y in points:
        places.setdefault(round(x, -1), []).append(y)
    return [(x, spread(ys).median) for x, ys in sorted(places.items())]


def _range(found: Spread) -> str:
    return f"{found.median:.3f}  ({found.least:.3f} to {found.most:.3f})"
