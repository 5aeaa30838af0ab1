"""Fixtures: a block of ports, a town, a node of real processes, SIPp."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node, Settings
from tests.interop.ports import HOST, Ports
from tests.interop.sipp import Sipp
from tests.interop.town import Town

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder are interop tests, one after the other: they watch the clock."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.xdist_group("interop"))


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture
def town(ports: Ports) -> Town:
    return Town(ports)


@pytest.fixture
def settings() -> Settings:
    """What the node is told; a module that wants it otherwise has a fixture of this name."""
    return Settings()


@pytest.fixture
def node(tmp_path: Path, ports: Ports, town: Town, settings: Settings) -> Iterator[Node]:
    node = Node(tmp_path, ports, settings)
    try:
        node.import_(town.provisioning())
        node.start()
        yield node
    finally:
        node.end()


@pytest.fixture
def sipp(tmp_path: Path, ports: Ports, node: Node) -> Iterator[Sipp]:
    sipp = Sipp(tmp_path, ports, (HOST, node.sip))
    yield sipp
    sipp.end()


@pytest.fixture
def devices(sipp: Sipp, town: Town) -> Devices:
    return Devices(sipp, town)
