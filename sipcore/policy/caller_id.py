"""Which number a call shows. Outside, only one of the account's own display numbers, ever.

service.md section 5, display-number. Every way out goes through `outside_caller`.
"""

from msgspec import Struct

from sipcore.numbering import is_digits, normalise, without_separators
from sipcore.policy.attempt import Source
from sipcore.policy.book import Account, Book, Extension

_ASSERTING_DIGITS = 7  # fewer are an extension's number, which asserts nothing


class CallerId(Struct, frozen=True, gc=False):
    """What is shown. `fault`: why the call may not go out under it, or None."""

    number: str
    name: str = ""
    fault: str | None = None


def asserted_number(asserted: str | None) -> str | None:
    """Return the number that an asserted user part claims, or None where it claims nothing."""
    if asserted is None:
        return None
    digits = without_separators(asserted).removeprefix("+")
    return asserted if len(digits) >= _ASSERTING_DIGITS and is_digits(digits) else None


def outside_caller(
    book: Book, account: Account, extension: Extension | None, asserted: str | None
) -> CallerId:
    """Return the display number of a call that leaves for the public network.

    Asserted and the account's own: shown. Asserted and foreign: a fault. None asserted: the
    extension's, else the account's default.
    """
    usual = account.default_number or ""
    if extension is not None:
        if extension.display_number is not None:
            usual = extension.display_number
        if asserted == extension.number:  # a long extension number is not a claim
            asserted = None
    claimed = asserted_number(asserted)
    if claimed is not None:
        own = book.display_number(normalise(claimed, book.home) or "")
        if own is not None and own.account == account.id:
            return CallerId(own.number)
        return CallerId(usual, fault=f"{claimed} is not a number of account {account.id}")
    if not usual:
        return CallerId("", fault=f"account {account.id} has no display number")
    return CallerId(usual)


def inside_caller(
    book: Book, source: Source, account: Account, extension: Extension | None, asserted: str | None
) -> CallerId:
    """Return what an inside call shows: the extension's number and name.

    A PBX may show its own extension's short number, where no other extension here has it, or one
    of the account's display numbers; else the account's default.
    """
    if extension is not None:
        return CallerId(extension.number, extension.name)
    short = without_separators(asserted or "")
    is_short = is_digits(short) and len(short) < _ASSERTING_DIGITS
    if is_short and book.extension(source.customer, short) is None:
        return CallerId(short)
    shown = outside_caller(book, account, None, asserted)
    return CallerId(shown.number or source.id)


def public_caller(book: Book, asserted: str | None) -> CallerId:
    """Return what a call from the public network shows: +E.164 if it can be read, else as sent."""
    if asserted is None:
        return CallerId("")
    return CallerId(normalise(asserted, book.home) or asserted)
