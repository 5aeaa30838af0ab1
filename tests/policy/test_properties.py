"""No attempt, however odd, passes what the rules forbid."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sipcore.policy.attempt import Attempt, CarrierTarget, Permit, Refuse, Source, answer_to
from sipcore.policy.decide import decide
from tests.policy.town import BETA_PBX, FROM_A, FRONT_DESK, LAPTOP, TOWN, UNVERIFIED, WORKSHOP

SOURCES = [
    FRONT_DESK,
    WORKSHOP,
    LAPTOP,
    UNVERIFIED,
    BETA_PBX,
    FROM_A,
    Source("carrier", "carrier-b"),
    Source("extension", "8009", "acme", "acme-3"),
    Source("extension", "gone", "acme", "gone"),
    Source("trunk", "gone", "beta", "beta-1"),
]
NUMBERS = st.one_of(
    st.sampled_from(
        ["110", "119", "8001", "8002", "7001", "10088", "*1", "36413501", "02136413599",
         "02136413600", "+862136413511", "13800000000", "0085223456789", "95588", "02136419999"]
    ),
    st.text("0123456789+*#-", max_size=16),
    st.text(max_size=8),
)  # fmt: skip
attempts = st.builds(
    Attempt,
    source=st.sampled_from(SOURCES),
    dialled=NUMBERS,
    asserted=st.none() | NUMBERS,
    draw=st.floats(0, 1, exclude_max=True),
)
KEYS = ["account:acme-1", "account:beta-1", "trunk:beta-pbx", "carrier:carrier-a",
        "carrier:carrier-b"]  # fmt: skip
loads = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3)).map(Counter)


@given(attempts, loads)
def test_a_verdict_is_always_given_and_always_the_same(
    attempt: Attempt, load: Counter[str]
) -> None:
    verdict = decide(TOWN, attempt, load)
    assert verdict == decide(TOWN, attempt, load)
    if isinstance(verdict, Refuse):
        rows = (answer_to(verdict.rule), answer_to(verdict.rule, "inbound"))
        assert (verdict.sip_status, verdict.q850_cause) in [
            (row.sip_status, row.q850_cause) for row in rows
        ]
        assert verdict.reason


@given(attempts, loads)
def test_a_permit_keeps_every_rule(attempt: Attempt, load: Counter[str]) -> None:
    permit = decide(TOWN, attempt, load)
    if not isinstance(permit, Permit):
        return
    assert permit.targets
    assert all(permit.targets)
    for key, limit in permit.slots:
        assert limit is None or load[key] < limit
    has_carriers = any(isinstance(one, CarrierTarget) for group in permit.targets for one in group)
    assert has_carriers == (permit.direction == "outbound")
    if permit.direction != "outbound":
        assert not permit.is_emergency
        return
    assert attempt.source.kind != "carrier"
    numbers = TOWN.accounts[permit.account].numbers
    assert permit.caller_shown in numbers or (permit.is_emergency and not numbers)
    if permit.is_emergency:
        assert permit.callee_routed in {"110", "119", "120", "122"}
        return
    assert attempt.source != LAPTOP
    assert TOWN.customers[permit.customer].is_verified
    assert permit.callee_routed.startswith("+86")
    assert f"account:{permit.account}" in dict(permit.slots)
    for group in permit.targets:
        for target in group:
            assert isinstance(target, CarrierTarget)
            assert load[f"carrier:{target.id}"] < TOWN.carriers[target.id].channels
