"""A node under the same load for long: memory and live objects stay flat, and all goes to zero.

2 minutes in `make test`, the 30 that the issue names in `make long`. 20 calls a second from a
carrier to a PBX: answered, held and taken back, given up, refused.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node, Settings
from tests.interop.ports import HOST, Ports
from tests.interop.sipp import Sipp
from tests.interop.soaking import (
    COUNTS,
    EXPECTED,
    FILES,
    TASKS,
    Crowd,
    ended,
    margin,
    sample,
    samples,
    thirds,
)
from tests.interop.town import Town
from tests.interop.waiting import stays, until

WARM_S = 45.0  # the first transactions end after 32 s
DRAIN_S = 60.0
LEAST_CALLS = 25  # at a time: the load is there
MEMORY_MIB = 3.0  # what an allocator's chance may add between the first and the last third


@pytest.fixture
def settings() -> Settings:
    return Settings(calls=80, media_ports=400)


@pytest.fixture
def sipp(tmp_path: Path, ports: Ports, node: Node) -> Iterator[Sipp]:
    sipp = Sipp(tmp_path, ports, (HOST, node.sip), limit_s=3600, is_traced=False)
    yield sipp
    sipp.end()


@pytest.fixture
def crowd(ports: Ports, node: Node, town: Town) -> Crowd:
    crowd = Crowd(ports)
    node.import_(town.provisioning() + crowd.provisioning())
    return crowd


def soak(node: Node, devices: Devices, crowd: Crowd, for_s: float) -> None:
    """Load the node for that long; check that nothing grows, and that nothing is left."""
    idle = sample(node)
    with crowd.calling(devices):
        stays("the node lives", node.pids, WARM_S)
        taken = samples(node, for_s / 100, for_s - WARM_S)
    found = {name: thirds(taken, name) for name in idle}
    for name, (first, last) in found.items():
        print(f"{name}: {first:.0f} -> {last:.0f}")
    assert min(found["sipcore_calls_active"]) > LEAST_CALLS
    grown = {
        name: (first, last)
        for name, (first, last) in found.items()
        if last > first + margin(name, first, MEMORY_MIB)
    }
    assert grown == {}
    done = ended(node)
    assert {cause for cause, per_s in EXPECTED.items() if done[cause] < per_s * for_s / 2} == set()

    def left() -> dict[str, float]:
        now = sample(node)
        most = dict.fromkeys(COUNTS, 0.0) | {TASKS: idle[TASKS]}
        most |= {name: idle[name] for name in idle if name.startswith(FILES)}
        return {name: now[name] for name in most if now[name] > most[name]}

    try:
        until("everything is over", lambda: not left(), DRAIN_S)
    except AssertionError:
        raise AssertionError(f"left after {DRAIN_S:g} s: {left()}") from None


@pytest.mark.timeout(360)
def test_nothing_grows_in_2_minutes_of_calls(node: Node, devices: Devices, crowd: Crowd) -> None:
    soak(node, devices, crowd, 120)


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_nothing_grows_in_30_minutes_of_calls(node: Node, devices: Devices, crowd: Crowd) -> None:
    soak(node, devices, crowd, 1800)
