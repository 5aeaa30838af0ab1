"""May they, and where to: every rule and every refusal of service.md sections 1 and 5."""

from collections import Counter

import pytest

from sipcore.numbering import PrefixTable
from sipcore.policy.attempt import (
    ANSWERS,
    Attempt,
    CarrierTarget,
    ExtensionTarget,
    Source,
    TrunkTarget,
    answer_to,
    refuse_permitted,
)
from sipcore.policy.concurrency import Slots
from sipcore.policy.decide import decide
from sipcore.policy.rules import RULES
from tests.policy.town import (
    BETA_PBX,
    FROM_A,
    FRONT_DESK,
    LAPTOP,
    TOWN,
    UNVERIFIED,
    WORKSHOP,
    attempt,
    permitted,
    refused,
    town,
)

IDLE: Counter[str] = Counter()
OUTSIDE = "02012345678"


def test_the_order_of_the_rules_is_the_documentation() -> None:
    assert [rule.name for rule in RULES] == [
        "emergency",
        "third-party",
        "display-number",
        "real-name",
        "soft-landing",
        "destination",
        "concurrency",
        "carriers",
    ]
    assert all(rule.check.__doc__ for rule in RULES)


def test_every_rule_that_refuses_has_an_answer() -> None:
    for rule in RULES:
        assert rule.passes or answer_to(rule.name)
    with pytest.raises(KeyError):
        answer_to("no such rule")


@pytest.mark.parametrize(
    ("rule", "towards", "sip_status", "q850_cause", "said"),
    [
        ("money", "", 402, 21, "balance-low"),
        ("barred", "", 402, 21, "balance-low"),
        ("concurrency", "", 403, 21, "lines-in-use"),
        ("concurrency", "outbound", 403, 21, "lines-in-use"),
        ("concurrency", "inbound", 486, 17, "lines-in-use"),
        *((rule, "", 403, 21, "not-permitted") for rule in (
            "display-number", "real-name", "use", "soft-landing", "destination", "third-party",
            "wholesale", "mass-calling", "one-ring",
        )),
        ("harassment", "", 603, 21, "not-permitted"),
        ("carriers", "", 503, 34, "network-busy"),
        ("unknown", "", 404, 1, "unknown-number"),
    ],
)  # fmt: skip
def test_a_refusal_reads_as_the_contract_says(
    rule: str, towards: str, sip_status: int, q850_cause: int, said: str
) -> None:
    answer = answer_to(rule, towards)
    assert (answer.sip_status, answer.q850_cause, answer.said) == (sip_status, q850_cause, said)
    assert (rule, "") in ANSWERS


# Inside


def test_an_extension_calls_an_extension() -> None:
    permit = permitted(decide(TOWN, attempt(FRONT_DESK, "8002", "8001"), IDLE))
    assert permit.direction == "internal"
    assert (permit.customer, permit.account) == ("acme", "acme-1")
    assert (permit.caller_asserted, permit.caller_shown) == ("8001", "8001")
    assert permit.caller_name == "Front desk"
    assert permit.callee_routed == "8002"
    assert permit.targets == ((ExtensionTarget("acme", "8002"),),)
    assert permit.slots == ()
    assert permit.device == "phone"
    assert not permit.is_emergency


def test_an_extension_reaches_only_its_own_customers_extensions() -> None:
    assert permitted(decide(TOWN, attempt(WORKSHOP, "8001"), IDLE)).targets == (
        (ExtensionTarget("acme", "8001"),),
    )
    assert refused(decide(TOWN, attempt(WORKSHOP, "7001"), IDLE)).rule == "unknown"


def test_a_soft_client_and_an_unverified_customer_call_inside() -> None:
    assert permitted(decide(TOWN, attempt(LAPTOP, "8001"), IDLE)).device == "soft"
    permitted(decide(TOWN, attempt(UNVERIFIED, "7001"), IDLE))


def test_an_own_display_number_is_inside_and_takes_no_slot() -> None:
    permit = permitted(decide(TOWN, attempt(WORKSHOP, "36413501"), IDLE))
    assert permit.direction == "internal"
    assert permit.callee_routed == "8001"
    assert permit.slots == ()


def test_an_inside_call_passes_when_every_line_is_in_use() -> None:
    full = Counter({"account:acme-1": 2, "carrier:carrier-a": 2, "carrier:carrier-b": 2})
    permitted(decide(TOWN, attempt(FRONT_DESK, "8002"), full))


def test_a_pbx_calls_an_extension_inside_over_its_channels() -> None:
    permit = permitted(decide(TOWN, attempt(BETA_PBX, "8001", "205"), IDLE))
    assert permit.direction == "internal"
    assert permit.slots == (("trunk:beta-pbx", 2),)
    assert (permit.caller_shown, permit.device) == ("205", "pbx")
    refuse = refused(decide(TOWN, attempt(BETA_PBX, "8001"), Counter({"trunk:beta-pbx": 2})))
    assert (refuse.rule, refuse.sip_status, refuse.q850_cause) == ("concurrency", 403, 21)
    assert refuse.reason == "trunk:beta-pbx has 2 of 2 calls"


def test_an_extension_calls_its_pbx_inside() -> None:
    source = Source("extension", "8001", "beta", "beta-1")
    permit = permitted(decide(TOWN, attempt(source, "02136413599"), IDLE))
    assert permit.direction == "internal"
    assert permit.targets == ((TrunkTarget("beta-pbx", "02136413599", "8001"),),)
    assert permit.slots == (("trunk:beta-pbx", 2),)
    refuse = refused(decide(TOWN, attempt(source, "02136413599"), Counter({"trunk:beta-pbx": 2})))
    assert (refuse.rule, refuse.sip_status, refuse.q850_cause) == ("concurrency", 486, 17)


@pytest.mark.parametrize(
    ("source", "dialled", "reason"),
    [
        (FRONT_DESK, "8888", "nothing here has the number 8888"),
        (FRONT_DESK, "*72", "no service has the code *72"),
        (FRONT_DESK, "10088", "the hotline is not in service yet"),
        (FRONT_DESK, "alice", "'alice' is not a number"),
        (FRONT_DESK, "", "'' is not a number"),
        (FRONT_DESK, "36413502", "+862136413502 leads to hotline, which is not in service"),
        (FRONT_DESK, "36413511", "+862136413511 leads to extension:8888, which is not in service"),
        (UNVERIFIED, "36413600", "+862136413600 leads to group:sales, which is not in service"),
        (FROM_A, "02136413600", "+862136413600 leads to group:sales, which is not in service"),
        (FROM_A, "02136419999", "nobody here has the number +862136419999"),  # of our own block
        (FROM_A, "8001", "nobody here has the number 8001"),
        (FROM_A, "110", "nobody here has the number 110"),
        (FROM_A, "", "nobody here has the number "),
    ],
)
def test_an_unknown_number_is_404(source: Source, dialled: str, reason: str) -> None:
    refuse = refused(decide(TOWN, attempt(source, dialled), IDLE))
    assert (refuse.rule, refuse.reason) == ("unknown", reason)
    assert (refuse.sip_status, refuse.q850_cause, refuse.said) == (404, 1, "unknown-number")


# Outside


def test_an_extension_calls_out_by_the_carriers_in_order() -> None:
    permit = permitted(decide(TOWN, attempt(WORKSHOP, OUTSIDE, "8002"), IDLE))
    assert permit.direction == "outbound"
    assert permit.caller_shown == "+862136413501"
    assert permit.callee_routed == "+862012345678"
    assert permit.slots == (("account:acme-1", 2),)
    assert permit.targets == (
        (CarrierTarget("carrier-a", OUTSIDE, "02136413501", (("carrier:carrier-a", 2),)),),
        (CarrierTarget("carrier-b", OUTSIDE, "02136413501", (("carrier:carrier-b", 2),)),),
    )


def test_another_customers_number_is_outside() -> None:
    assert permitted(decide(TOWN, attempt(WORKSHOP, "36413599"), IDLE)).direction == "outbound"


def test_a_pbx_calls_out_over_its_channels_and_its_accounts() -> None:
    permit = permitted(decide(TOWN, attempt(BETA_PBX, OUTSIDE, "+862136413599"), IDLE))
    assert permit.slots == (("account:beta-1", 3), ("trunk:beta-pbx", 2))
    assert permit.caller_shown == "+862136413599"


def test_a_short_number_goes_out_where_a_rate_names_it() -> None:
    book = town(destinations=PrefixTable({"955": "national"}))
    permit = permitted(decide(book, attempt(FRONT_DESK, "95588"), IDLE))
    assert (permit.direction, permit.callee_routed) == ("outbound", "95588")


OUTBOUND_REFUSALS = [
    (
        "display-number",
        attempt(WORKSHOP, OUTSIDE, "13900000000"),
        {},
        "13900000000 is not a number",
    ),
    (
        "display-number",
        attempt(BETA_PBX, OUTSIDE, "02136413501"),
        {},
        "02136413501 is not a number",
    ),
    (
        "display-number",
        attempt(Source("extension", "8009", "acme", "acme-3"), OUTSIDE),
        {},
        "account acme-3 has no display number",
    ),
    ("real-name", attempt(UNVERIFIED, OUTSIDE), {}, "customer gamma is not verified"),
    ("soft-landing", attempt(LAPTOP, OUTSIDE), {}, "extension 8003 is a soft client"),
    ("destination", attempt(WORKSHOP, "0085223456789"), {}, "class international is not allowed"),
    ("destination", attempt(WORKSHOP, "0012125551234"), {}, "no rate for +12125551234"),
    ("concurrency", attempt(WORKSHOP, OUTSIDE), {"account:acme-1": 2}, "account:acme-1 has 2 of 2"),
    ("concurrency", attempt(BETA_PBX, OUTSIDE), {"trunk:beta-pbx": 2}, "trunk:beta-pbx has 2 of 2"),
    (
        "carriers",
        attempt(WORKSHOP, OUTSIDE),
        {"carrier:carrier-a": 2, "carrier:carrier-b": 2},
        "no carrier has a channel free",
    ),
    (
        "third-party",
        attempt(Source("extension", "8001", "acme", "gone"), OUTSIDE),
        {},
        "extension 8001 is not provisioned",
    ),
    (
        "third-party",
        attempt(Source("trunk", "gone", "beta", "beta-1"), OUTSIDE),
        {},
        "trunk gone is not provisioned",
    ),
]


@pytest.mark.parametrize(("rule", "wish", "load", "reason"), OUTBOUND_REFUSALS)
def test_an_outbound_call_is_refused(
    rule: str, wish: Attempt, load: dict[str, int], reason: str
) -> None:
    refuse = refused(decide(TOWN, wish, Counter(load)))
    assert refuse.rule == rule
    assert refuse.reason.startswith(reason)
    answer = answer_to(rule)
    assert (refuse.sip_status, refuse.q850_cause) == (answer.sip_status, answer.q850_cause)
    assert refuse.direction == "outbound"


def test_a_refusal_has_the_columns_of_its_cdr() -> None:
    refuse = refused(decide(TOWN, attempt(LAPTOP, OUTSIDE, "8003"), IDLE))
    assert (refuse.customer, refuse.account, refuse.device) == ("acme", "acme-1", "soft")
    assert (refuse.caller_asserted, refuse.caller_shown) == ("8003", "+862136413501")
    assert refuse.callee_routed == "+862012345678"
    spoofed = refused(decide(TOWN, attempt(WORKSHOP, OUTSIDE, "13900000000"), IDLE))
    assert (spoofed.caller_asserted, spoofed.caller_shown) == ("13900000000", "")


def test_what_waiting_does_not_cure_is_named_first() -> None:
    full = Counter({"account:acme-1": 2, "carrier:carrier-a": 2, "carrier:carrier-b": 2})
    wishes = [attempt(LAPTOP, "0012125551234", "13900000000"), attempt(LAPTOP, "0012125551234")]
    named = [refused(decide(TOWN, wish, full)).rule for wish in wishes]
    assert named == ["display-number", "soft-landing"]


# From carriers


def test_a_carrier_reaches_the_numbers_extension() -> None:
    permit = permitted(decide(TOWN, attempt(FROM_A, "02136413501", "13800000000"), IDLE))
    assert permit.direction == "inbound"
    assert (permit.customer, permit.account) == ("acme", "acme-1")
    assert (permit.caller_shown, permit.callee_routed) == ("+8613800000000", "8001")
    assert permit.targets == ((ExtensionTarget("acme", "8001"),),)
    assert permit.slots == (("account:acme-1", 2), ("carrier:carrier-a", 2))
    assert permit.device == ""


def test_a_carrier_reaches_the_numbers_pbx() -> None:
    permit = permitted(decide(TOWN, attempt(FROM_A, "+862136413599", "13800000000"), IDLE))
    assert permit.targets == ((TrunkTarget("beta-pbx", "02136413599", "13800000000"),),)
    assert permit.slots == (
        ("account:beta-1", 3),
        ("carrier:carrier-a", 2),
        ("trunk:beta-pbx", 2),
    )


@pytest.mark.parametrize(
    ("rule", "dialled", "load", "sip_status", "q850_cause"),
    [
        ("concurrency", "02136413501", {"account:acme-1": 2}, 486, 17),
        ("concurrency", "02136413599", {"trunk:beta-pbx": 2}, 486, 17),
        ("carriers", "02136413501", {"carrier:carrier-a": 2}, 503, 34),
    ],
)
def test_an_inbound_call_is_refused(
    rule: str, dialled: str, load: dict[str, int], sip_status: int, q850_cause: int
) -> None:
    refuse = refused(decide(TOWN, attempt(FROM_A, dialled, "13800000000"), Counter(load)))
    assert (refuse.rule, refuse.sip_status, refuse.q850_cause) == (rule, sip_status, q850_cause)
    assert refuse.direction == "inbound"


@pytest.mark.parametrize("dialled", [OUTSIDE, "13900000000", "+85223456789"])
def test_no_transit_from_carrier_to_carrier(dialled: str) -> None:
    refuse = refused(decide(TOWN, attempt(FROM_A, dialled, "13800000000"), IDLE))
    assert (refuse.rule, refuse.sip_status) == ("third-party", 403)
    assert refuse.reason.startswith("transit from carrier carrier-a to +")


def test_a_carrier_that_is_gone_brings_no_calls() -> None:
    source = Source("carrier", "gone")
    refuse = refused(decide(TOWN, attempt(source, "02136413501"), IDLE))
    assert (refuse.rule, refuse.reason) == ("third-party", "carrier gone is not provisioned")


# Emergency


# After the permit


def test_a_permitted_call_that_fails_is_refused_with_its_own_columns() -> None:
    permit = permitted(decide(TOWN, attempt(WORKSHOP, OUTSIDE, "8002"), IDLE))
    refuse = refuse_permitted(permit, "carriers", "no carrier answered")
    assert (refuse.sip_status, refuse.q850_cause, refuse.said) == (503, 34, "network-busy")
    assert (refuse.customer, refuse.account, refuse.device) == ("acme", "acme-1", "phone")
    assert refuse.callee_routed == "+862012345678"
    inbound = permitted(decide(TOWN, attempt(FROM_A, "02136413501"), IDLE))
    assert refuse_permitted(inbound, "concurrency", "taken meanwhile").sip_status == 486


def test_what_a_permit_wants_fills_the_plan_and_no_more() -> None:
    slots = Slots()
    wish = attempt(WORKSHOP, OUTSIDE)
    held = []
    for _ in range(2):
        permit = permitted(decide(TOWN, wish, slots.load))
        held.append(slots.take(permit.slots, "call"))
    assert all(held)
    assert refused(decide(TOWN, wish, slots.load)).rule == "concurrency"
    for slot in held:
        assert slot is not None
        slot.release()
    permitted(decide(TOWN, wish, slots.load))
