"""One relay under one number of calls: a fresh process, a run of the load, what it cost.

Other programs on the same cores spoil a run: it waits a while for them, and repeats what they
spoiled a few times.
"""

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from bench import proc, profile
from bench.measure import say
from bench.node import NodeFault
from bench.relay import Relay
from bench.rtp_check import PERCENTILES
from bench.rtp_load import Loaded, Plan, RtpLoad
from bench.stats import MOST_LOSS

LEAST_ON_TIME = 0.95
MOST_OTHERS = 0.1  # of the relay's core
WARM_S = 3.0
REPEATS = 4
PATIENCE_S = 15.0
GLANCE_S = 0.25
PACKETS_PER_S = 2 * 50  # of a call
P99 = PERCENTILES.index(99.0)


class Peer(Struct, frozen=True):
    """A relay to measure: `make(folder, core)`; `bound_ms` is what p99 of its delay may be."""

    name: str
    make: Callable[[Path, int], Relay]
    bound_ms: float


class Level(Struct, frozen=True):
    """What became of `calls` calls. `cpu_s` is the relay's in the window of `seconds`; `others`
    the share of its core that other programs used meanwhile."""

    relay: str
    calls: int
    bound_ms: float
    loaded: Loaded
    seconds: float
    cpu_s: float
    others: float

    @property
    def us_per_packet(self) -> float:
        """CPU microseconds a packet that it passed on: seconds a million."""
        passed = self.loaded.tally.sent - self.loaded.tally.lost
        return self.cpu_s * 1e6 / passed if passed else 0.0

    @property
    def packets_per_s(self) -> float:
        return float(self.calls * PACKETS_PER_S)

    @property
    def is_load_at_fault(self) -> bool:
        """Whether the load, not the relay, was late or lost packets."""
        lost = self.loaded.unsent + self.loaded.sink_lost
        is_late = self.loaded.on_time < LEAST_ON_TIME
        return is_late or lost > MOST_LOSS * self.loaded.tally.sent

    @property
    def is_disturbed(self) -> bool:
        return self.others > MOST_OTHERS

    @property
    def holds(self) -> bool:
        found = self.loaded.tally
        return (
            not self.is_load_at_fault
            and found.loss < MOST_LOSS
            and found.delays_ms[P99] <= self.bound_ms
        )

    def complaints(self) -> list[str]:
        """Say what no relay may do, at any load that it carries."""
        found = self.loaded
        counts = {
            "damaged": found.damaged,
            "sent to the wrong phone or from the wrong port": found.misrouted,
            "doubled": found.tally.duplicates,
            "out of order": found.tally.out_of_order,
            "with a header that does not continue the last": found.tally.header_faults,
        }
        where = f"{self.relay}, {self.calls} calls"
        return [f"{where}: {count} packets {what}" for what, count in counts.items() if count]

    def words(self) -> str:
        found = self.loaded.tally
        delays = "/".join(f"{one:.1f}" for one in found.delays_ms)
        verdict = "holds" if self.holds else "does not hold"
        if self.is_load_at_fault:
            verdict = "not judged: the load itself was late or lost packets"
        return (
            f"{self.relay} {self.calls} calls {verdict}: {found.lost} of {found.sent} lost, "
            f"{found.late} late, delay {delays} ms, {self.us_per_packet:.2f} us/packet, "
            f"load late {self.loaded.lateness_ms:.1f} ms, others {self.others:.0%} of the core"
        )


class Trials:
    """Runs levels one after the other, and keeps them. `cores`: the load's, the relay's."""

    def __init__(
        self, folder: Path, cores: tuple[int, int], limit_s: float, profiles: Path | None = None
    ) -> None:
        """Raw profiles of sipcore go to `profiles`, where that is asked for."""
        self.levels: list[Level] = []
        self._folder, self._cores, self._profiles = folder, cores, profiles
        self._repeats, self._patience_s = REPEATS, PATIENCE_S
        self._end = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """How much of the time that the bench may take is left."""
        return self._end - time.monotonic()

    def run(self, peer: Peer, calls: int, seconds: float) -> Level:
        """Measure for `seconds`; again where other programs had spoiled it. Raises NodeFault."""
        while True:
            self._wait_quiet()
            level = self._measure(peer, calls, seconds)
            say(f"media: {level.words()}")
            self.levels.append(level)
            is_spoiled = level.is_disturbed and not level.holds
            if not is_spoiled or not self._repeats or self.left_s < 0:
                return level
            self._repeats -= 1

    def _measure(self, peer: Peer, calls: int, seconds: float) -> Level:
        core = self._cores[1]
        folder = self._folder / f"media-{len(self.levels)}"
        folder.mkdir()
        readings: list[tuple[float, float, float]] = []
        recordings: list[profile.Recording] = []
        with RtpLoad(calls) as load, peer.make(folder, core) as relay:

            def mark() -> None:
                readings.append((time.monotonic(), relay.cpu_s(), proc.busy_s(core)))
                if len(readings) == 1 and self._profiles is not None:
                    recordings.append(self._profile(relay.pid, seconds))

            load.aim(relay.open(load.phones))
            try:
                loaded = load.run(Plan(WARM_S, seconds, peer.bound_ms), mark)
            except OSError as fault:
                raise NodeFault(f"the load on {peer.name}: {fault}") from None
            for recording in recordings:
                recording.finish()
            relay.close()
        took_s, cpu_s, core_s = (b - a for a, b in zip(readings[0], readings[-1], strict=True))
        others = max(0.0, core_s - cpu_s) / took_s if took_s else 0.0
        return Level(peer.name, calls, peer.bound_ms, loaded, took_s, cpu_s, others)

    def _profile(self, pid: int, seconds: float) -> profile.Recording:
        assert self._profiles is not None
        self._profiles.mkdir(parents=True, exist_ok=True)
        return profile.Recording(pid, seconds, self._profiles / f"media-{len(self.levels)}.raw")

    def _wait_quiet(self) -> None:
        """Wait until other programs leave both cores alone, as long as there is patience."""
        while self._patience_s > 0 and self.left_s > 0:
            before = [proc.busy_s(core) for core in self._cores]
            time.sleep(GLANCE_S)
            after = [proc.busy_s(core) for core in self._cores]
            busy = max(b - a for a, b in zip(before, after, strict=True)) / GLANCE_S
            if busy <= MOST_OTHERS:
                return
            self._patience_s -= GLANCE_S
