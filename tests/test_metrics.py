"""Counts keep their shape on the way from the process that counts to the page."""

import re

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sipcore import catalogue
from sipcore.media.control import Totals
from sipcore.metric import Definition
from sipcore.metrics import Family, Metrics, by_process, cause_class, family, merge, render
from sipcore.shares import MEDIA
from sipcore.views import media_families


def page(families: list[Family]) -> dict[tuple[str, str], float]:
    """Read a page as Prometheus does: {(name, sorted labels): value}."""
    text = render(families).decode()
    return {
        (sample.name, ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def totals(value: int) -> Totals:
    return Totals(*[value for _ in Totals.__struct_fields__])


def test_a_snapshot_survives_the_control_socket() -> None:
    metrics = Metrics()
    metrics.count_message("in", "INVITE")
    metrics.count_message("out", "INVITE", 180)
    metrics.count_message("out", "INVITE", 183)
    metrics.count_registration("registered")
    metrics.count_wrong_credentials("INVITE")
    metrics.count_bad_message("broken")
    metrics.call_setup_s.observe(0.03)
    metrics.watch(catalogue.BINDINGS, lambda: 12)
    metrics.watch(catalogue.CALLS_ACTIVE, lambda: {("answered",): 3, ("setup",): 0})
    sent = msgspec.msgpack.encode(metrics.snapshot())
    values = page(msgspec.msgpack.decode(sent, type=list[Family]))
    assert values["sipcore_messages_total", "class=request,direction=in,method=INVITE"] == 1
    assert values["sipcore_messages_total", "class=1xx,direction=out,method=INVITE"] == 2
    assert values["sipcore_registrations_total", "result=registered"] == 1
    assert values["sipcore_wrong_credentials_total", "method=INVITE"] == 1
    assert values["sipcore_bad_messages_total", "reason=broken"] == 1
    assert values["sipcore_call_setup_seconds_bucket", "le=0.05"] == 1
    assert values["sipcore_bindings", ""] == 12
    assert values["sipcore_calls_active", "state=answered"] == 3


def test_a_counter_is_there_before_it_has_counted() -> None:
    values = page(Metrics().snapshot())
    assert values["sipcore_calls_total", "cause_class=busy,direction=outbound"] == 0
    assert values["sipcore_registrations_total", "result=throttled"] == 0
    assert values["sipcore_throttled_total", ""] == 0


def test_a_histogram_counts_each_value_in_all_buckets_that_hold_it() -> None:
    metrics = Metrics()
    bounds = catalogue.CALL_SETUP.buckets
    for value in (bounds[0], bounds[1], 1e9):
        metrics.call_setup_s.observe(value)
    values, name = page(metrics.snapshot()), "sipcore_call_setup_seconds"
    assert values[f"{name}_bucket", f"le={float(bounds[0])}"] == 1
    assert values[f"{name}_bucket", f"le={float(bounds[1])}"] == 2
    assert values[f"{name}_bucket", f"le={float(bounds[-1])}"] == 2
    assert values[f"{name}_bucket", "le=+Inf"] == values[f"{name}_count", ""] == 3
    assert values[f"{name}_sum", ""] == pytest.approx(sum(bounds[:2]) + 1e9)


def test_the_network_does_not_choose_how_many_series_there_are() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.count_message("in", f"ATTACK{number}", 600 + number)
    [family] = [one for one in metrics.snapshot() if one.name == "sipcore_messages"]
    [sample] = family.samples
    assert sample.labels == {"direction": "in", "method": "other", "class": "6xx"}
    assert sample.value == 1000


@pytest.mark.parametrize(
    ("sip_status", "cause"),
    [
        (200, "answered"),
        (302, "redirected"),
        (402, "refused"),
        (404, "unknown_number"),
        (480, "no_answer"),
        (486, "busy"),
        (487, "cancelled"),
        (488, "rejected"),
        (503, "failed"),
        (606, "rejected"),
        (0, "failed"),
    ],
)
def test_a_cause_is_one_of_a_few_words(sip_status: int, cause: str) -> None:
    assert cause_class(sip_status) == cause
    assert cause in catalogue.CAUSES


def test_every_status_has_a_cause_that_can_be_counted() -> None:
    metrics = Metrics()
    for status in range(0, 700):
        metrics.count_call("inbound", status)
    values = page(metrics.snapshot())
    assert sum(v for (name, _), v in values.items() if name == "sipcore_calls_total") == 700


def test_processes_are_told_apart_and_a_name_stands_once() -> None:
    families = [by_process(catalogue.UP, {"web": 1})]
    families.append(by_process(catalogue.UP, {"media-0": 1, "media-1": 0}))
    families.append(by_process(catalogue.RESTARTS, {"media-0": 2}))
    values = page(families)
    assert values["sipcore_up", "process=web"] == 1
    assert values["sipcore_up", "process=media-1"] == 0
    assert values["sipcore_restarts_total", "process=media-0"] == 2
    assert render(families).count(b"# TYPE sipcore_up gauge") == 1


def test_merging_leaves_what_was_given_as_it_was() -> None:
    families = [family(catalogue.READY, 1), family(catalogue.READY, 1)]
    assert [len(one.samples) for one in merge(families)] == [2]
    assert all(len(one.samples) == 1 for one in families)


def test_every_figure_of_a_worker_is_on_the_page() -> None:
    shared = [share.field for share in MEDIA]
    assert sorted(shared) == sorted(Totals.__struct_fields__)


def test_a_workers_figures_are_in_base_units() -> None:
    values = page(media_families({0: totals(20), 1: totals(0)}))
    assert values["sipcore_rtp_packets_total", "process=media-0"] == 20
    assert values["sipcore_media_jitter_seconds", "process=media-0"] == pytest.approx(0.02)
    assert values["sipcore_media_jitter_seconds", "process=media-1"] == 0


@pytest.mark.parametrize("one", catalogue.DEFINITIONS, ids=lambda one: one.name)
def test_a_name_keeps_to_the_conventions_of_prometheus(one: Definition) -> None:
    assert re.fullmatch(r"sipcore_[a-z]+(_[a-z]+)*", one.name)
    assert not one.name.endswith(("_total", "_count", "_sum", "_bucket", "_info_info"))
    assert not re.search(r"_(ms|us|milliseconds|minutes|hours|kb|mb|percent)(_|$)", one.name)
    for unit in ("seconds", "bytes"):
        assert (one.unit == unit) == one.name.endswith(f"_{unit}")


def test_no_two_metrics_have_one_name() -> None:
    names = [one.name for one in catalogue.DEFINITIONS]
    assert len(names) == len(set(names))


def test_what_signalling_counts_is_in_the_catalogue_with_its_labels() -> None:
    defined = {one.name: one for one in catalogue.DEFINITIONS}
    metrics = Metrics()
    metrics.count_message("in", "INVITE", 200)
    for one in metrics.snapshot():
        definition = defined[one.name]
        assert (one.kind, one.help) == (definition.kind, definition.help)
        for sample in one.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            assert list(labels) == list(definition.labels)
            assert all(value in definition.labels[name] for name, value in labels.items())
