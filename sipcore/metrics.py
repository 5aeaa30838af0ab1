"""What the signalling process counts, and how counts travel to the web process, which renders them.

One Metrics a process, handed to whoever counts: nothing registers itself. What there is to count is
defined in catalogue.py. A snapshot is plain data for msgspec.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, product

from msgspec import Struct
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from sipcore import catalogue
from sipcore.catalogue import MESSAGE_CLASSES, METHODS
from sipcore.metric import Definition

_CAUSES = {
    402: "refused",
    403: "refused",
    404: "unknown_number",
    408: "no_answer",
    410: "unknown_number",
    480: "no_answer",
    484: "unknown_number",
    486: "busy",
    487: "cancelled",
    600: "busy",
    603: "refused",
    604: "unknown_number",
}
_METHODS = frozenset(METHODS)

LabelValues = tuple[str, ...]
Read = Callable[[], float | Mapping[LabelValues, float]]


class Sample(Struct, frozen=True, array_like=True):
    """One value, with its full name (`…_bucket`, `…_total`) and its labels."""

    name: str
    labels: dict[str, str]
    value: float


class Family(Struct, frozen=True, array_like=True):
    """Everything of one metric. `kind` is Prometheus's: counter, gauge, histogram."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


def cause_class(sip_status: int) -> str:
    """Return why an attempt ended, as one of nine words, from its final SIP status."""
    if 200 <= sip_status < 300:
        return "answered"
    by_hundreds = {3: "redirected", 4: "rejected", 5: "failed", 6: "rejected"}
    return _CAUSES.get(sip_status) or by_hundreds.get(sip_status // 100, "failed")


class Count:
    """One series of a counter: a plain integer until somebody looks (a twentieth of the cost of
    prometheus-client's, which has a lock)."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        self.value += 1


class Spread:
    """A histogram with upper bounds, as plain numbers: each bucket is counted alone."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, name: str) -> list[Sample]:
        """Return what stands on the page: each bucket with those below it, count and sum."""
        sums = [float(one) for one in accumulate(self._counts)]
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return [
            *(Sample(f"{name}_bucket", {"le": le}, n) for le, n in zip(names, sums, strict=True)),
            Sample(f"{name}_count", {}, sums[-1]),
            Sample(f"{name}_sum", {}, self._sum),
        ]


class Metrics:
    """The counts of the signalling process.

    Counters and histograms are counted here; what somebody else has anyhow is watched:
    `metrics.watch(BINDINGS, lambda: len(…))` is read when the page is asked for, and not before.

    `messages` are counts by direction, method and status: whoever counts all the time adds to what
    is there by himself, and tells `count_message` of what is not.
    """

    def __init__(self) -> None:
        self._spreads: dict[str, tuple[Definition, Spread]] = {}
        self._watched: dict[str, tuple[Definition, Read]] = {}
        self.messages: dict[tuple[str, str, int], Count] = {}
        self._calls = self._counter(catalogue.CALLS)
        self._registrations: dict[LabelValues, float] = {
            (result,): 0 for result in catalogue.REGISTRATIONS
        }
        self._trunk_registrations = self._counter(catalogue.TRUNK_REGISTRATIONS)
        self._health_checks = self._counter(catalogue.HEALTH_CHECKS)
        self.carrier_demotions = self._counter(catalogue.CARRIER_DEMOTIONS)[()]
        self._subscribes = self._counter(catalogue.SUBSCRIBED)
        self._notifies = self._counter(catalogue.NOTIFIED)
        self._bad_messages = self._counter(catalogue.BAD_MESSAGES)
        self._wrong_credentials = self._counter(catalogue.WRONG_CREDENTIALS)
        self.silences = self._counter(catalogue.SILENCES)[()]
        self.scanners_dropped = self._counter(catalogue.SCANNERS_DROPPED)[()]
        self.throttled = self._counter(catalogue.THROTTLED)[()]
        self.journal_errors = self._counter(catalogue.JOURNAL_ERRORS)[()]
        self.journal_dropped = self._counter(catalogue.JOURNAL_DROPPED)[()]
        self.call_setup_s = self._histogram(catalogue.CALL_SETUP)
        self.loop_lag_s = self._histogram(catalogue.LOOP_LAG)
        self.journal_sync_s = self._histogram(catalogue.JOURNAL_SYNC)
        self.watch(catalogue.MESSAGES, self._by_class)
        self.watch(catalogue.REGISTERED, lambda: self._registrations)

    def _counter(self, definition: Definition) -> dict[LabelValues, Count]:
        """Make a counter; every series is there from the start, at 0, so that its rise is seen."""
        made = {values: Count() for values in product(*definition.labels.values())}
        self.watch(definition, lambda: {values: one.value for values, one in made.items()})
        return made

    def _histogram(self, definition: Definition) -> Spread:
        made = Spread(definition.buckets)
        self._spreads[definition.name] = (definition, made)
        return made

    def watch(self, definition: Definition, read: Read) -> None:
        """Let a metric be read from `read`: its value, or a value for each row of label values."""
        self._watched[definition.name] = (definition, read)

    def count_message(self, direction: str, method: str, status: int = 0) -> None:
        """Count a SIP message. `direction` "in" or "out"; `status` 0 is a request."""
        if method not in _METHODS:  # the network must not choose how many series there are
            method = "other"
        self.messages.setdefault((direction, method, status), Count()).value += 1

    def _by_class(self) -> Mapping[LabelValues, float]:
        counts: dict[LabelValues, float] = {}
        for (direction, method, status), count in self.messages.items():
            key = (direction, method, MESSAGE_CLASSES[min(status // 100, 6)])
            counts[key] = counts.get(key, 0) + count.value
        return counts

    def count_call(self, direction: str, sip_status: int) -> None:
        """Count an attempt that ended, by the final status that the caller got."""
        self._calls[direction, cause_class(sip_status)].value += 1

    def count_registration(self, result: str) -> None:
        """Count a REGISTER by one of catalogue.REGISTRATIONS."""
        self._registrations[result,] += 1

    def count_trunk_registration(self, result: str) -> None:
        """Count a REGISTER of ours by one of catalogue.TRUNK_REGISTERED."""
        self._trunk_registrations[result,].inc()

    def count_health_check(self, is_alive: bool) -> None:
        """Count an OPTIONS of ours that was answered, or was not."""
        self._health_checks["alive" if is_alive else "dead",].inc()

    def count_subscribe(self, result: str) -> None:
        """Count a SUBSCRIBE by one of catalogue.SUBSCRIBES."""
        self._subscribes[result,].inc()

    def count_notify(self, result: str) -> None:
        """Count a NOTIFY that ended: "told", "unheard" or "refused"."""
        self._notifies[result,].inc()

    def count_wrong_credentials(self, method: str) -> None:
        """Count a request that was signed, but wrongly."""
        self._wrong_credentials[method,].inc()

    def count_bad_message(self, reason: str) -> None:
        """Count a message that broke the grammar: "unreadable", "broken", or "bug"."""
        self._bad_messages[reason,].inc()

    def snapshot(self) -> list[Family]:
        """Return every value now, as plain data."""
        return [
            *(family(one, read()) for one, read in self._watched.values()),
            *(
                Family(one.name, one.kind, one.help, made.samples(one.name))
                for one, made in self._spreads.values()
            ),
        ]

    def value(self, sample_name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """Return one value of the page, by its full name; None where there is none."""
        samples = (sample for one in self.snapshot() for sample in one.samples)
        found = (s.value for s in samples if s.name == sample_name and s.labels == (labels or {}))
        return next(found, None)


def family(definition: Definition, values: float | Mapping[LabelValues, float]) -> Family:
    """Make a family of one value, or of a value for each row of label values."""
    rows = values if isinstance(values, Mapping) else {(): values}
    samples = [
        Sample(definition.sample_name, dict(zip(definition.labels, row, strict=True)), float(value))
        for row, value in rows.items()
    ]
    return Family(definition.name, definition.kind, definition.help, samples)


def by_process(definition: Definition, values: Mapping[str, float]) -> Family:
    """Make a family with one sample for each process: {"media-0": 12, …}."""
    return family(definition, {(process,): value for process, value in values.items()})


def merge(families: Iterable[Family]) -> list[Family]:
    """Put samples of families of the same name together: a name may stand once on a page."""
    merged: dict[str, Family] = {}
    for one in families:
        known = merged.setdefault(one.name, Family(one.name, one.kind, one.help, []))
        known.samples.extend(one.samples)
    return list(merged.values())


class _Page:
    """Families dressed as a prometheus-client registry, which is all that its writer asks for."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for one in self._families:
            metric = Metric(one.name, one.help, one.kind)
            for sample in one.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric


def render(families: Iterable[Family]) -> bytes:
    """Write the Prometheus text format (version 0.0.4, UTF-8)."""
    return generate_latest(_Page(merge(families)))
