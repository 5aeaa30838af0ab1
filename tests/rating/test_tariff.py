"""The catalogue: what is sold, for how much, from when."""

from datetime import date

import pytest

from sipcore.errors import BadConfig
from sipcore.rating.money import text
from sipcore.rating.tariff import (
    Catalogue,
    Tariff,
    Totals,
    embedded_catalogue,
    parse_catalogue,
    parse_tariff,
)

TARIFF = embedded_catalogue().versions[-1]
LEAST = 'version = "1"\nfrom = 2026-01-01\n'


@pytest.mark.parametrize(
    ("plans", "totals"),
    [  # service.md section 2: they add up
        ([], Totals()),
        (["a59"], Totals(1, 1, 0, 299)),
        (["pbx-4-16"], Totals(2, 4, 18, 1899)),  # named 16, granted 18
        (["a39", "trunk"], Totals(1, 2, 0, 188)),
        (["pbx-2-8", "ext-4"], Totals(1, 2, 12, 599)),
        (["trunk", "trunk"], Totals(0, 2, 0, 178)),
    ],
)
def test_plans_add_up(plans: list[str], totals: Totals) -> None:
    assert TARIFF.totals(plans) == totals


def test_a_plan_that_is_not_sold_has_no_totals() -> None:
    with pytest.raises(KeyError):
        TARIFF.totals(["a39", "b40"])


def test_the_embedded_tariff_is_the_contracts() -> None:
    assert (TARIFF.version, TARIFF.begins, TARIFF.currency) == ("2026-11", date(2026, 1, 1), "CNY")
    assert len(TARIFF.plans) == 20
    assert TARIFF.plans_by_id["crm-seat"].kind == "option"
    assert TARIFF.fees_by_id["install-phone"].amount == 299
    assert TARIFF.term.prepay == ("monthly", "half-year")
    assert TARIFF.classes == {"national"}
    assert text(TARIFF.rates[0].price) == "0.12"


@pytest.mark.parametrize(
    ("number", "destination"),
    [("+862012345678", "national"), ("+13800000000", None), ("110", None), ("+85223456789", None)],
)
def test_a_destination_without_a_rate_has_no_class(number: str, destination: str | None) -> None:
    assert TARIFF.destinations.find(number) == destination


def test_the_longest_prefix_gives_the_class() -> None:
    tariff = parse_tariff(
        LEAST
        + '[[rate]]\nclass = "national"\nprefix = "+86"\nper_minute = 0.12\n'
        + '[[rate]]\nclass = "satellite"\nprefix = "+861349"\nper_minute = 9\n'
    )
    assert tariff.destinations.find("+8613491234567") == "satellite"
    assert tariff.destinations.find("+8613912345678") == "national"


def test_the_version_in_force_is_the_last_one_begun() -> None:
    later = LEAST.replace('"1"', '"2"').replace("2026-01-01", "2027-01-01")
    catalogue = parse_catalogue([later, LEAST])
    in_force = {
        day: catalogue.at(day).version
        for day in (date(2025, 1, 1), date(2026, 12, 31), date(2027, 1, 1))
    }
    assert list(in_force.values()) == ["1", "1", "2"]


def test_a_catalogue_needs_versions_that_begin_on_different_days() -> None:
    with pytest.raises(BadConfig, match="needs a tariff"):
        parse_catalogue([])
    with pytest.raises(BadConfig, match="1 and 2 both begin 2026-01-01"):
        parse_catalogue([LEAST, LEAST.replace('"1"', '"2"')])


BAD = """
version = ""
colour = "red"
[[rate]]
class = "national"
prefix = "86x"
per_minute = -0.12
[[rate]]
class = "national"
prefix = "+86"
per_minute = 0.12345
connect = -1
[[rate]]
class = "national"
prefix = "+86"
per_minute = 0.12
[term]
prepay = ["yearly"]
[[plan]]
id = "a"
name = "A"
kind = "line"
rent = -1
[[plan]]
id = "a"
name = "B"
kind = "lines"
rent = 1
[[plan]]
id = "a"
name = "C"
kind = "line"
rent = 1e9999
[[fee]]
id = "f"
name = "F"
amount = -2
per = "order"
"""


def test_every_mistake_is_named_with_its_place() -> None:
    with pytest.raises(BadConfig) as caught:
        parse_tariff(BAD)
    assert caught.value.faults == [
        "prepay: Invalid enum value 'yearly' (at [0]) - at `$.term.prepay`",
        "unknown key `colour` - at `$.colour`",
        "version: Expected `str` of length >= 1 - at `$.version`",
        "missing key `from` - at `$`",
        "prefix: Expected `str` matching regex '^\\\\+?[0-9]{1,15}$' - at `$.rate[0].prefix`",
        "kind: Invalid enum value 'lines' - at `$.plan[1].kind`",
        "per_minute: 0.12345 has more than 4 decimals - at `$.rate[1].per_minute`",
        "connect: -1 is below zero - at `$.rate[1].connect`",
        "rent: -1 is below zero - at `$.plan[0].rent`",
        "rent: 1E+9999 is not an amount - at `$.plan[2].rent`",
        "amount: -2 is below zero - at `$.fee[0].amount`",
        "a stands twice - at `$.plan[2].id`",
        "+86 in band any stands twice - at `$.rate[2].prefix`",
    ]


def test_what_is_no_toml_is_told_with_its_line() -> None:
    with pytest.raises(BadConfig, match="line 2"):
        parse_tariff('version = "1"\nfrom 2026')


def test_a_catalogue_is_a_value() -> None:
    assert embedded_catalogue() == Catalogue((TARIFF,))
    assert isinstance(TARIFF, Tariff)
