"""Counts keep their shape on the way from the process that counts to the page."""

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sipcore.metrics import (
    Family,
    Metrics,
    cause_class,
    gauge,
    labelled,
    merge,
    process_families,
    render,
)


def page(families: list[Family]) -> dict[tuple[str, str], float]:
    """Read a page as Prometheus does: {(name, sorted labels): value}."""
    text = render(families).decode()
    return {
        (sample.name, ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_snapshot_survives_the_control_socket() -> None:
    metrics = Metrics()
    metrics.count_message("in", "INVITE")
    metrics.count_message("out", "INVITE", 180)
    metrics.count_message("out", "INVITE", 183)
    metrics.count_registration("registered")
    metrics.count_bad_message("no-via")
    metrics.call_setup_s.observe(0.03)
    metrics.bindings.set_function(lambda: 12)
    metrics.calls_active["answered"].set(3)
    sent = msgspec.msgpack.encode(metrics.snapshot())
    values = page(msgspec.msgpack.decode(sent, type=list[Family]))
    assert values["sipcore_messages_total", "class=request,direction=in,method=INVITE"] == 1
    assert values["sipcore_messages_total", "class=1xx,direction=out,method=INVITE"] == 2
    assert values["sipcore_registrations_total", "result=registered"] == 1
    assert values["sipcore_bad_messages_total", "reason=no-via"] == 1
    assert values["sipcore_call_setup_seconds_bucket", "le=0.05"] == 1
    assert values["sipcore_bindings", ""] == 12
    assert values["sipcore_calls_active", "state=answered"] == 3


def test_the_network_does_not_choose_how_many_series_there_are() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.count_message("in", f"ATTACK{number}", 999)
    [family] = [one for one in metrics.snapshot() if one.name == "sipcore_messages"]
    assert [sample.labels for sample in family.samples] == [
        {"direction": "in", "method": "other", "class": "6xx"}
    ]


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


def test_processes_are_told_apart_and_a_name_stands_once() -> None:
    families = [gauge("sipcore_up", "Up", {"process": "web"}, 1)]
    families.append(labelled("gauge", "sipcore_up", "Up", {"media-0": 1, "media-1": 0}))
    families.append(labelled("counter", "sipcore_restarts", "Restarts", {"media-0": 2}))
    values = page(families)
    assert values["sipcore_up", "process=web"] == 1
    assert values["sipcore_up", "process=media-1"] == 0
    assert values["sipcore_restarts_total", "process=media-0"] == 2
    assert render(families).count(b"# TYPE sipcore_up gauge") == 1


def test_merging_leaves_what_was_given_as_it_was() -> None:
    families = [gauge("sipcore_up", "Up", {}, 1), gauge("sipcore_up", "Up", {}, 1)]
    assert [len(family.samples) for family in merge(families)] == [2]
    assert all(len(family.samples) == 1 for family in families)


def test_a_process_says_what_it_costs() -> None:
    values = page(process_families("web"))
    assert values["sipcore_cpu_seconds_total", "process=web"] > 0
    assert values["sipcore_resident_bytes", "process=web"] > 1_000_000
    assert values["sipcore_open_files", "process=web"] > 2
