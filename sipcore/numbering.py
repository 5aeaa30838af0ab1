"""Numbers as people dial them and as they are stored: +E.164, or a short number as it stands.

Knows one country's plan at a time (China's by default: trunk prefix 0, mobiles of 11 digits
beginning with 1, service numbers 400/800, short numbers of up to 7 digits). Knows no customer.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

What = TypeVar("What")

# RFC 3966 section 3 calls these visual separators; people also write spaces.
_SEPARATORS = str.maketrans("", "", "-. ()\u00a0")
_SHORT_DIGITS = 7  # 1008611 is the longest short number in use
_NATIONAL_DIGITS = range(9, 12)  # without the trunk prefix: old 9-digit numbers to 11-digit mobiles
_E164_DIGITS = range(7, 16)  # E.164 6.1 allows 15; fewer than 7 is no subscriber
_SERVICE_PREFIXES = ("400", "800")  # dialled without trunk prefix or area


class Home(Struct, frozen=True):
    """Where the node stands: what a number means that names no country or no area.

    `country` without `+`; `area` with or without its trunk prefix 0.
    """

    country: str = "86"
    area: str = "021"


class Style(StrEnum):
    """How a trunk wants its numbers written."""

    E164 = "e164"  # +862136413501
    DIGITS = "digits"  # 862136413501
    NATIONAL = "national"  # 02136413501, 13800000000, 0085223456789
    LOCAL = "local"  # 36413501 in its own area, else national


_E164, _DIGITS, _LOCAL = Style.E164, Style.DIGITS, Style.LOCAL  # looked up in no class each time


def without_separators(number: str) -> str:
    """Return the number without what people write between digits to read them better."""
    return number if number.isalnum() else number.translate(_SEPARATORS)


def is_digits(text: str) -> bool:
    """Tell whether the text is one or more of 0-9: str.isdigit alone takes other scripts' too."""
    return text.isascii() and text.isdigit()


def normalise(number: str, home: Home) -> str | None:
    """Read a dialled or asserted number.

    Return +E.164, a short number as it stands, or None for what is no number here.
    """
    digits = without_separators(number)
    if digits[:1] == "+":
        return _international(digits[1:], home) if is_digits(digits[1:]) else None
    if not is_digits(digits):
        return None
    if digits.startswith("00"):
        return _international(digits[2:], home)
    if digits[0] == "0" and len(digits) - 1 in _NATIONAL_DIGITS:
        return f"+{home.country}{digits[1:]}"
    if digits.startswith(home.country):
        rest = digits[len(home.country) :].lstrip("0")
        if len(rest) in _NATIONAL_DIGITS:
            return f"+{home.country}{rest}"
    if digits[0] != "0" and _stands_alone(digits):
        return f"+{home.country}{digits}"
    area = home.area.lstrip("0")
    if area and _is_local(digits, area):
        return f"+{home.country}{area}{digits}"
    return digits if len(digits) <= _SHORT_DIGITS else None


def read_e164(number: str, home: Home) -> str | None:
    """Read a number that is E.164 without its +. None where it is not: ask normalise()."""
    digits = without_separators(number)
    if not is_digits(digits) or digits[0] == "0" or len(digits) not in _E164_DIGITS:
        return None
    return _international(digits, home)


def write(number: str, style: Style, home: Home) -> str:
    """Write a normalised number the way a trunk wants it. Short numbers stay as they are."""
    if number[:1] != "+" or style is _E164:
        return number
    if style is _DIGITS:
        return number[1:]
    if not number.startswith(home.country, 1):
        return f"00{number[1:]}"
    rest = number[1 + len(home.country) :]
    if style is _LOCAL and (area := home.area.lstrip("0")) and rest.startswith(area):
        subscriber = rest[len(area) :]
        if _is_local(subscriber, area):
            return subscriber
    return rest if _stands_alone(rest) else f"0{rest}"


def _international(digits: str, home: Home) -> str | None:
    """Read what follows `+` or `00`. A country code before a short number is dropped (+86110)."""
    if not digits.startswith(home.country):
        return f"+{digits}" if len(digits) in _E164_DIGITS and digits[0] != "0" else None
    rest = digits[len(home.country) :].lstrip("0")  # +86 (0)21 … is a common slip
    if len(rest) in _NATIONAL_DIGITS:
        return f"+{home.country}{rest}"
    return rest if 0 < len(rest) < _SHORT_DIGITS else None


def _stands_alone(digits: str) -> bool:
    """Tell whether a national number is dialled without trunk prefix: mobiles and 400/800."""
    if len(digits) == 11:
        return digits[0] == "1"
    return len(digits) == 10 and digits.startswith(_SERVICE_PREFIXES)


def _is_local(digits: str, area: str) -> bool:
    """Tell whether this is a subscriber of the own area: 8 digits, or 7 under a long area code."""
    return digits[0] not in "01" and (len(digits) == 8 or (len(digits) == 7 and len(area) == 3))


class PrefixTable(Generic[What]):
    """Longest prefix wins. Immutable; a look-up costs one dict access a prefix length in use."""

    __slots__ = ("_entries", "_lengths")

    def __init__(self, entries: Mapping[str, What]) -> None:
        self._entries = dict(entries)
        self._lengths = tuple(sorted({len(prefix) for prefix in self._entries}, reverse=True))

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, number: str) -> What | None:
        """Return what belongs to the longest prefix of `number`, or None."""
        entries = self._entries
        for length in self._lengths:
            if (found := entries.get(number[:length])) is not None:
                return found
        return None
