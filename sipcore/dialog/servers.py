"""The server transactions of a stack: which one a request or an ACK belongs to, which requests have
come before by another path, which 2xx still wait for their ACK."""

from sipcore.dialog.matching import merge_key, server_key
from sipcore.dialog.transaction import Transaction
from sipcore.message.message import Request


class Servers(dict[tuple[str, ...], Transaction]):
    """Server transactions by matching.server_key. `most`: of how many merged requests are known."""

    def __init__(self, most: int) -> None:
        self._most_merged = most
        self._merged: dict[tuple[str, ...], Transaction] = {}
        self._unacked: dict[tuple[str, str, int], Transaction] = {}

    @property
    def is_settled(self) -> bool:
        """True when no 2xx waits for its ACK."""
        return not self._unacked

    def of_ack(self, ack: Request) -> Transaction | None:
        """Find the INVITE of an ACK: a refused one by its branch, an accepted one by its tags."""
        transaction = self.get(server_key(ack))
        if transaction is None:
            marks = ack.marks
            transaction = self._unacked.get((marks.to_tag or "", marks.from_tag, marks.number))
        return transaction

    def has_merged(self, request: Request) -> bool:
        """Tell whether a request outside of dialogs came before, by another path (8.2.2.2)."""
        return merge_key(request) in self._merged

    def merge(self, transaction: Transaction) -> None:
        """Know a request again until it is answered."""
        if len(self._merged) < self._most_merged:
            transaction.merge_key = merge_key(transaction.request)
            self._merged[transaction.merge_key] = transaction

    def unmerge(self, transaction: Transaction) -> None:
        """Know it no more."""
        if transaction.merge_key is not None:
            self._merged.pop(transaction.merge_key, None)
            transaction.merge_key = None

    def await_ack(self, invite: Transaction) -> None:
        """Keep the place of a 2xx for its ACK, which has a branch of its own (13.2.2.4)."""
        marks = invite.request.marks
        invite.ack_key = (invite.tag, marks.from_tag, marks.number)
        self._unacked[invite.ack_key] = invite

    def await_no_ack(self, invite: Transaction) -> None:
        """It came, or never will."""
        if invite.ack_key is not None:
            self._unacked.pop(invite.ack_key, None)
            invite.ack_key = None

    def forget(self, transaction: Transaction) -> None:
        """Let a transaction go that has ended."""
        if transaction.merge_key is not None:
            self.unmerge(transaction)
        if transaction.ack_key is not None:
            self.await_no_ack(transaction)
        self.pop(transaction.key, None)
