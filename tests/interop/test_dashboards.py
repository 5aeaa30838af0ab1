"""A real Prometheus over a node with calls: every panel has something to show, every rule works."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.dashboards.boards import BOARDS
from sipcore.catalogue import DEFINITIONS
from tests.interop.devices import Devices
from tests.interop.node import Node
from tests.interop.ports import HOST, Ports
from tests.interop.prometheus import Prometheus
from tests.interop.talking import talk
from tests.interop.town import DESK, WORKSHOP
from tests.interop.waiting import until

CALL_MS = 6000
CALLS = 20
REGISTERS = 100
GRAFANA = {"$__rate_interval": "5s", "$instance": ".*"}
QUERIES = {
    f"{board.title}: {panel.title}: {line.legend}": line.query
    for board in BOARDS
    for panel in board.panels
    for line in panel.lines
}


@pytest.fixture
def prometheus(tmp_path: Path, ports: Ports, node: Node) -> Iterator[Prometheus]:
    prometheus = Prometheus(tmp_path / "prometheus", ports.take(), f"{HOST}:{node.web}")
    try:
        prometheus.wait_for_sample()
        yield prometheus
    finally:
        prometheus.end()


def work(devices: Devices) -> None:
    """Let a phone register again and again, and be called again and again."""
    port = devices.register(WORKSHOP, None, "-m", str(REGISTERS), "-r", "50")
    phone = devices.answer(port, calls=CALLS)
    who = ("-s", WORKSHOP.user, "-au", DESK.user, "-ap", DESK.password)
    how = ("-m", str(CALLS), "-r", "10", "-d", "100", "-set", "linger", "0")
    keys = {"caller": DESK.user, "domain": DESK.domain}
    devices.sipp.start("call", *who, *how, keys=keys).ends_well()
    phone.ends_well()


def asked(query: str) -> str:
    """Return a query as Grafana sends it."""
    for variable, value in GRAFANA.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query


def test_every_panel_has_data_and_every_rule_works(
    devices: Devices, prometheus: Prometheus
) -> None:
    with talk(devices, CALL_MS) as call:
        work(devices)
        call.phone.ends_well()
    empty = dict(QUERIES)

    def all_have_data() -> bool:
        for name, query in list(empty.items()):
            if prometheus.has_data(asked(query)):
                del empty[name]
        return not empty

    try:
        until("every panel has data", all_have_data, 15)
    except AssertionError:
        raise AssertionError(f"without data: {sorted(empty)}") from None
    rules = prometheus.rules()
    assert rules
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_the_page_of_a_node_is_the_catalogue(node: Node, devices: Devices) -> None:
    devices.register(DESK)
    url = f"http://{HOST}:{node.web}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        page = list(text_string_to_metric_families(answer.read().decode()))
    kinds = {one.name: (one.kind, one.help) for one in DEFINITIONS}
    assert {one.name: (one.type, one.documentation) for one in page} == kinds
    labels = {one.name: set(one.labels) for one in DEFINITIONS}
    for family in page:
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels[family.name]
    of_each = ("sipcore_cpu_seconds", "sipcore_resident_bytes", "sipcore_open_files")
    for family in page:
        if family.name in of_each:
            measured = {sample.labels["process"]: sample.value for sample in family.samples}
            assert set(measured) == {"supervisor", "signalling", "media-0", "web"}
            assert min(measured.values()) > 0
