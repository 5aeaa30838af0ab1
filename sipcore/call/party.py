"""Who a leg is, in the words of policy: by whom it called, or was called."""

from sipcore.call.leg import Leg
from sipcore.policy.attempt import CarrierTarget, ExtensionTarget, Source, source_of
from sipcore.policy.book import Book


def remaining_of(book: Book, leg: Leg) -> Source | None:
    """Return who will talk in an attempt that follows from a leg's call.

    None for one who called from outside: he may reach anybody.
    """
    party = leg.party
    return None if isinstance(party, Source) and party.kind == "carrier" else party_of(book, leg)


def party_of(book: Book, leg: Leg) -> Source:
    """Return who stands at the other end of a leg. What is provisioned no more has no account."""
    party = leg.party
    if isinstance(party, Source):
        return party
    if isinstance(party, ExtensionTarget):
        extension = book.extension(party.customer, party.number)
        account = "" if extension is None else extension.account
        return Source("extension", party.number, party.customer, account)
    if party is None or isinstance(party, CarrierTarget):
        return Source("carrier", "" if party is None else party.id)
    return source_of(book.trunks[party.id])
