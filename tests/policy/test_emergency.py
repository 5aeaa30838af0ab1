"""Emergency calls pass whatever the rules say, and show an own number."""

from collections import Counter

import pytest
from msgspec.structs import replace

from sipcore.policy.attempt import CarrierTarget, Source
from sipcore.policy.decide import decide
from tests.policy.town import (
    BETA_PBX,
    FRONT_DESK,
    LAPTOP,
    ROWS,
    TOWN,
    UNVERIFIED,
    attempt,
    permitted,
    refused,
    town,
)

IDLE: Counter[str] = Counter()
FULL = Counter(
    {
        "account:acme-1": 2,
        "account:beta-1": 3,
        "account:gamma-1": 1,
        "trunk:beta-pbx": 2,
        "carrier:carrier-a": 2,
        "carrier:carrier-b": 2,
    }
)


@pytest.mark.parametrize("dialled", ["110", "119", "120", "122", "+86110", "1-1-0"])
@pytest.mark.parametrize("source", [FRONT_DESK, LAPTOP, UNVERIFIED, BETA_PBX])
def test_emergency_passes_everything(source: Source, dialled: str) -> None:
    permit = permitted(decide(TOWN, attempt(source, dialled, "13900000000"), FULL))
    assert permit.is_emergency
    assert permit.callee_routed in ("110", "119", "120", "122")
    assert [target.id for (target,) in permit.targets if isinstance(target, CarrierTarget)] == [
        "carrier-a",
        "carrier-b",
    ]
    limits = [limit for _, limit in permit.slots]
    limits += [
        limit
        for (target,) in permit.targets
        if isinstance(target, CarrierTarget)
        for _, limit in target.slots
    ]
    assert set(limits) == {None}
    assert not any(key.startswith("account:") for key, _ in permit.slots)


def test_emergency_shows_an_own_number_and_never_the_foreign_one() -> None:
    spoofed = permitted(decide(TOWN, attempt(FRONT_DESK, "110", "13900000000"), FULL))
    assert spoofed.caller_shown == "+862136413502"
    own = permitted(decide(TOWN, attempt(FRONT_DESK, "110", "02136413501"), FULL))
    assert own.caller_shown == "+862136413501"


def test_emergency_ignores_what_carriers_allow() -> None:
    book = town(carriers=[replace(one, allow=frozenset({"premium"})) for one in ROWS.carriers])
    assert len(permitted(decide(book, attempt(FRONT_DESK, "110"), IDLE)).targets) == 2


def test_emergency_without_any_carrier_is_network_busy() -> None:
    refuse = refused(decide(town(carriers=[], peers=[]), attempt(FRONT_DESK, "110"), IDLE))
    assert (refuse.rule, refuse.sip_status, refuse.q850_cause) == ("carriers", 503, 34)
