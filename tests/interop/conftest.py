"""Fixtures: a block of ports, a town, a node of real processes, SIPp."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.devices import Devices
from tests.interop.house import House
from tests.interop.matrix import TESTS, Matrix, ways
from tests.interop.node import Node, Settings, running
from tests.interop.ports import HOST, Ports
from tests.interop.sipp import Sipp
from tests.interop.stage import Stage
from tests.interop.town import Town

MATRIX = Matrix()
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder are interop tests."""
    for item in items:
        if item.path.is_relative_to(HERE):
            if "shown" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.matrix)
            item.add_marker(pytest.mark.interop)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Sort the matrix to the end, where the house stands, and the page behind it: it looks back."""
    if not item.path.is_relative_to(HERE):
        return 0
    if item.path == HERE / "test_page.py":
        return 3
    return 1 + ("house" in getattr(item, "fixturenames", ()))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-interop", action="store_true", help="write docs/interop.md")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of a case for each client and transport that the matrix promises it of."""
    if "stage" in metafunc.fixturenames:
        pairs = ways(TESTS[metafunc.function.__name__], *metafunc.module.CLIENTS)
        ids = [f"{client}-{transport}" for client, transport in pairs]
        metafunc.parametrize("stage", pairs, ids=ids, indirect=True, scope="module")


@pytest.fixture
def shown() -> Matrix:
    return MATRIX


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.open()
        yield house
    finally:
        house.close()


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, house: House
) -> Iterator[Stage]:
    stage = Stage(house, tmp_path_factory.mktemp("stage"), *request.param)
    try:
        stage.open()
        yield stage
    finally:
        stage.close()


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> None:
    """Each test on a stage begins in silence."""
    if "stage" in request.fixturenames:
        stage: Stage = request.getfixturevalue("stage")
        stage.quiet()


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
    with running(tmp_path, ports, town, settings) as node:
        yield node


@pytest.fixture
def sipp(tmp_path: Path, ports: Ports, node: Node) -> Iterator[Sipp]:
    sipp = Sipp(tmp_path, ports, (HOST, node.sip))
    yield sipp
    sipp.end()


@pytest.fixture
def devices(sipp: Sipp, town: Town) -> Devices:
    return Devices(sipp, town)
