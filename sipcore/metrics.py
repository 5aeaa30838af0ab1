"""What the signalling process counts, and how counts travel to the web process, which renders them.

One Metrics a process, handed to whoever counts: nothing registers itself. Cardinality is fixed: a
label only ever has the values listed here (lessons.md 28). A snapshot is plain data for msgspec.
"""

import os
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

METHODS = frozenset(
    (
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "PRACK",
        "UPDATE",
        "INFO",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "REFER",
    )
)
UP_HELP = "1 while the process answers"
CALL_STATES = ("setup", "ringing", "answered")
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
_CLASSES = ("request", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx")
_FAST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_SYNC_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)


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
    """Return why an attempt ended, as one of ten words, from its final SIP status."""
    if 200 <= sip_status < 300:
        return "answered"
    by_hundreds = {3: "redirected", 4: "rejected", 5: "failed", 6: "rejected"}
    return _CAUSES.get(sip_status) or by_hundreds.get(sip_status // 100, "failed")


class Metrics:
    """The counters of the signalling process.

    Gauges are read when asked for: `metrics.bindings.set_function(lambda: len(…))`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls_and_registrations()
        self._protocol()
        self._process()

    def _calls_and_registrations(self) -> None:
        mine = self.registry
        self._calls = Counter(
            "sipcore_calls", "Attempts that ended", ("direction", "cause_class"), registry=mine
        )
        self._calls_active = Gauge(
            "sipcore_calls_active", "Calls now, by state", ("state",), registry=mine
        )
        self.calls_active = {state: self._calls_active.labels(state) for state in CALL_STATES}
        self.call_setup_s = Histogram(
            "sipcore_call_setup_seconds",
            "From an INVITE to its first 18x or 2xx towards the caller",
            buckets=_FAST_S,
            registry=mine,
        )
        self.slots = Gauge("sipcore_slots", "Slots of concurrency taken", registry=mine)
        self._registrations = Counter(
            "sipcore_registrations",
            "REGISTERs that ended, by result",
            ("result",),
            registry=mine,
        )
        self.bindings = Gauge("sipcore_bindings", "Contacts registered now", registry=mine)
        self._call_children: dict[tuple[str, str], Counter] = {}
        self._registration_children: dict[str, Counter] = {}

    def _protocol(self) -> None:
        mine = self.registry
        self._message_counts: dict[tuple[str, str, int], int] = {}
        mine.register(self)
        self._bad_messages = Counter(
            "sipcore_bad_messages", "Messages that broke the grammar", ("reason",), registry=mine
        )
        self.scanners_dropped = Counter(
            "sipcore_scanners_dropped", "Requests of known scanners, not answered", registry=mine
        )
        self.throttled = Counter(
            "sipcore_throttled", "Requests refused by a rate guard", registry=mine
        )
        self.bans = Gauge("sipcore_bans", "Sources banned now", registry=mine)
        self.transactions = Gauge("sipcore_transactions", "SIP transactions now", registry=mine)
        self.dialogs = Gauge("sipcore_dialogs", "SIP dialogs now", registry=mine)

    def _process(self) -> None:
        mine = self.registry
        self.loop_lag_s = Histogram(
            "sipcore_loop_lag_seconds",
            "How late the event loop ran what was due",
            buckets=_LAG_S,
            registry=mine,
        )
        self.journal_sync_s = Histogram(
            "sipcore_journal_sync_seconds",
            "Writing one group of journal lines to disk",
            buckets=_SYNC_S,
            registry=mine,
        )
        self.journal_errors = Counter(
            "sipcore_journal_errors", "Groups that the disk did not take", registry=mine
        )
        self.journal_dropped = Counter(
            "sipcore_journal_dropped",
            "Lines of no answered call, given up while the disk took nothing",
            registry=mine,
        )
        self.tasks = Gauge("sipcore_tasks", "Tasks on the event loop now", registry=mine)

    def count_message(self, direction: str, method: str, status: int = 0) -> None:
        """Count a SIP message. `direction` "in" or "out"; `status` 0 is a request.

        Plain integers until somebody looks: this is called for every message.
        """
        key = (direction, method, status // 100)
        if key in self._message_counts:
            self._message_counts[key] += 1
        elif method in METHODS:
            self._message_counts[key] = 1
        elif method != "other":  # the network must not choose how many series there are
            self.count_message(direction, "other", status)
        else:
            self._message_counts[key] = 1

    def collect(self) -> Iterator[Metric]:
        """Give the message counts to whoever collects the registry."""
        family = CounterMetricFamily(
            "sipcore_messages",
            "SIP messages, retransmissions included",
            labels=("direction", "method", "class"),
        )
        for (direction, method, hundreds), count in self._message_counts.items():
            family.add_metric((direction, method, _CLASSES[min(hundreds, 6)]), count)
        yield family

    def count_call(self, direction: str, sip_status: int) -> None:
        """Count an attempt that ended, by the final status that the caller got."""
        key = (direction, cause_class(sip_status))
        child = self._call_children.get(key)
        if child is None:
            child = self._call_children[key] = self._calls.labels(*key)
        child.inc()

    def count_registration(self, result: str) -> None:
        """Count a REGISTER: registered, removed, queried, challenged, refused, throttled."""
        child = self._registration_children.get(result)
        if child is None:
            child = self._registration_children[result] = self._registrations.labels(result)
        child.inc()

    def count_bad_message(self, reason: str) -> None:
        """Count a message that broke the grammar. `reason` is one of the callers' few constants."""
        self._bad_messages.labels(reason).inc()

    def snapshot(self) -> list[Family]:
        """Return every value now, as plain data."""
        return [_family(metric) for metric in self.registry.collect()]


def process_families(process: str) -> list[Family]:
    """Return what the calling process costs: CPU seconds, resident bytes, open files."""
    times = os.times()
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    labels = {"process": process}
    return [
        gauge("sipcore_up", UP_HELP, labels, 1),
        counter("sipcore_cpu_seconds", "User and system", labels, times.user + times.system),
        gauge("sipcore_resident_bytes", "Memory in use", labels, resident),
        gauge("sipcore_open_files", "Descriptors", labels, len(os.listdir("/proc/self/fd"))),
    ]


def counter(name: str, help_text: str, labels: dict[str, str], value: float) -> Family:
    """Make a counter of one sample. `name` without `_total`."""
    return Family(name, "counter", help_text, [Sample(name + "_total", labels, value)])


def gauge(name: str, help_text: str, labels: dict[str, str], value: float) -> Family:
    """Make a gauge of one sample."""
    return Family(name, "gauge", help_text, [Sample(name, labels, value)])


def labelled(kind: str, name: str, help_text: str, values: Mapping[str, float]) -> Family:
    """Make a family with one sample for each process: {"media-0": 12, …}."""
    full = name + "_total" if kind == "counter" else name
    return Family(
        name, kind, help_text, [Sample(full, {"process": key}, v) for key, v in values.items()]
    )


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
        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for sample in family.samples:
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
