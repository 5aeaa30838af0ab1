"""What the signalling process counts, and how counts travel to the web process, which renders them.

One Metrics a process, handed to whoever counts: nothing registers itself. What there is to count is
defined in catalogue.py. A snapshot is plain data for msgspec.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

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


class Metrics:
    """The counts of the signalling process.

    Counters and histograms are counted here; what somebody else has anyhow is watched:
    `metrics.watch(BINDINGS, lambda: len(…))` is read when the page is asked for, and not before.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: dict[str, tuple[Definition, Read]] = {}
        self._message_counts: defaultdict[tuple[str, str, int], int] = defaultdict(int)
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
        self.watch(catalogue.MESSAGES, self._messages)
        self.watch(catalogue.REGISTERED, lambda: self._registrations)

    def _counter(self, definition: Definition) -> dict[LabelValues, Counter]:
        """Make a counter; every series is there from the start, at 0, so that its rise is seen."""
        names = tuple(definition.labels)
        made = Counter(definition.name, definition.help, names, registry=self.registry)
        if not names:
            return {(): made}
        return {values: made.labels(*values) for values in product(*definition.labels.values())}

    def _histogram(self, definition: Definition) -> Histogram:
        return Histogram(
            definition.name, definition.help, buckets=definition.buckets, registry=self.registry
        )

    def watch(self, definition: Definition, read: Read) -> None:
        """Let a metric be read from `read`: its value, or a value for each row of label values."""
        self._watched[definition.name] = (definition, read)

    def count_message(self, direction: str, method: str, status: int = 0) -> None:
        """Count a SIP message. `direction` "in" or "out"; `status` 0 is a request.

        Plain integers until somebody looks: this is called for every message.
        """
        if method not in _METHODS:  # the network must not choose how many series there are
            method = "other"
        self._message_counts[direction, method, status] += 1

    def _messages(self) -> Mapping[LabelValues, float]:
        counts: dict[LabelValues, float] = {}
        for (direction, method, status), count in self._message_counts.items():
            key = (direction, method, MESSAGE_CLASSES[min(status // 100, 6)])
            counts[key] = counts.get(key, 0) + count
        return counts

    def count_call(self, direction: str, sip_status: int) -> None:
        """Count an attempt that ended, by the final status that the caller got."""
        self._calls[direction, cause_class(sip_status)].inc()

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
        counted = [_family(metric) for metric in self.registry.collect()]
        return counted + [family(one, read()) for one, read in self._watched.values()]


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


def _family(metric: Metric) -> Family:
    """`_created` is left out: it doubles the page and no rule of ours reads it."""
    kept = [
        Sample(s.name, dict(s.labels), s.value)
        for s in metric.samples
        if not s.name.endswith("_created")
    ]
    return Family(metric.name, metric.type, metric.documentation, kept)
