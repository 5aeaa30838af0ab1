"""Money is exact; rounding has one address."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.rating.money import Money, share, text, to_fen, yuan


@pytest.mark.parametrize(
    ("value", "units"),
    [
        (39, 390_000),
        (0, 0),
        (Decimal("0.12"), 1200),
        (Decimal("5000.00"), 50_000_000),
        (Decimal("0.0001"), 1),
        (Decimal("-1.5"), -15_000),
        ("1000.00", 10_000_000),
        (Decimal("1E+3"), 10_000_000),
    ],
)
def test_an_amount_is_read(value: int | Decimal | str, units: int) -> None:
    assert yuan(value) == units


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.12, "0.12 is not an exact amount"),
        (True, "True is not an exact amount"),
        (None, "None is not an exact amount"),
        ("twelve", "'twelve' is not an amount"),
        (Decimal("NaN"), "NaN is not an amount"),
        (Decimal("Infinity"), "Infinity is not an amount"),
        (Decimal("1e999999999"), r"1E\+999999999 is not an amount"),
        (Decimal("1e-999999999"), "1E-999999999 is not an amount"),
        (Decimal("0.00001"), "0.00001 has more than 4 decimals"),
        (Decimal("1." + 30 * "0" + "1"), "has more than 4 decimals"),
    ],
)
def test_what_would_have_to_be_rounded_on_the_way_in_is_refused(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        yuan(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("units", "written"),
    [
        (0, "0.00"),
        (1200, "0.12"),
        (390_000, "39.00"),
        (1, "0.0001"),
        (1230, "0.123"),
        (-15_000, "-1.50"),
        (-1, "-0.0001"),
    ],
)
def test_an_amount_is_written(units: int, written: str) -> None:
    assert text(Money(units)) == written


@pytest.mark.parametrize(
    ("rent", "days", "of", "posted"),
    [  # service.md section 2, worked examples
        ("59", 11, 30, "21.63"),
        ("9", 11, 30, "3.30"),
        ("39", 11, 30, "14.30"),
        ("0.01", 1, 2, "0.01"),  # half up
        ("0.01", 1, 3, "0.00"),
        ("-0.01", 1, 2, "-0.01"),  # away from zero: a correction undoes exactly
    ],
)
def test_a_share_is_rounded_half_up_to_the_fen(rent: str, days: int, of: int, posted: str) -> None:
    assert text(share(yuan(rent), days, of)) == posted


@pytest.mark.parametrize(("part", "whole"), [(1, 0), (1, -1), (-1, 2)])
def test_a_share_of_nothing_is_an_error(part: int, whole: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        share(yuan(1), part, whole)


def test_a_line_is_rounded_to_the_fen() -> None:
    assert to_fen(Money(1250)) == 1300
    assert to_fen(Money(1249)) == 1200


@given(st.integers(-(10**15), 10**15))
def test_what_is_written_is_read_back(units: int) -> None:
    assert yuan(text(Money(units))) == units


@given(st.integers(0, 10**9), st.integers(0, 31), st.integers(1, 31))
def test_a_share_is_at_most_half_a_fen_off(units: int, part: int, whole: int) -> None:
    posted = share(Money(units), part, whole)
    assert posted % 100 == 0
    assert -50 * whole < posted * whole - units * part <= 50 * whole
