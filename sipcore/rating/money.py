"""Money, exact: integers of 1/10000 yuan. The only place that rounds, half up (away from zero)."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import NewType

Money = NewType("Money", int)  # 1/10000 yuan

YUAN = 10_000  # Money a yuan
FEN = 100  # Money a fen
_DECIMALS = 4
_MAGNITUDES = range(
    -40, 15
)  # powers of ten that a file may mean; 1e999999999 would fill the memory


def yuan(value: int | Decimal | str) -> Money:
    """Read an amount in yuan.

    Raises ValueError for a float, for what is no number, and for more than 4 decimals: an amount
    that would have to be rounded on the way in is a slip of the pen.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError(f"{value!r} is not an exact amount")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not an amount") from None
    if not number.is_finite() or number.adjusted() not in _MAGNITUDES:
        raise ValueError(f"{str(value)[:40]} is not an amount")
    units = Fraction(number) * YUAN
    if units.denominator != 1:
        raise ValueError(f"{value} has more than {_DECIMALS} decimals")
    return Money(units.numerator)


def text(amount: Money) -> str:
    """Write an amount in yuan: at least 2 decimals, more only where they are not zero."""
    whole, part = divmod(abs(amount), YUAN)
    decimals = f"{part:04d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole}.{decimals}"


def to_fen(amount: Money) -> Money:
    """Round to the fen, half up: what a posted line may be."""
    return share(amount, 1, 1)


def share(amount: Money, part: int, whole: int) -> Money:
    """Return amount x part / whole, rounded to the fen, half up (59.00 x 11 / 30 = 21.63).

    Raises ValueError where `whole` is not above 0 or `part` below 0.
    """
    if whole <= 0 or part < 0:
        raise ValueError(f"{part}/{whole} is no share")
    scaled = abs(amount) * part
    fen = (2 * scaled + whole * FEN) // (2 * whole * FEN)
    return Money(fen * FEN if amount >= 0 else -fen * FEN)
