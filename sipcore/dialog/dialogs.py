"""All dialogs of a stack: which one a message belongs to, which one it begins, which it ends."""

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import User
from sipcore.dialog.transaction import Transaction
from sipcore.message.flow import Flow
from sipcore.message.message import Request, Response

MOST_RINGING, MOST_FORKS = 32, 64  # dialogs that an INVITE begins: by 1xx, and in all


class Dialogs(dict[tuple[str, str], Dialog]):
    """Dialogs by (our tag, the peer's tag)."""

    def of_request(self, request: Request) -> Dialog | None:
        """Find the dialog that a request with a To tag is within (RFC 3261 12.2.2)."""
        marks = request.marks
        dialog = self.get((marks.to_tag or "", marks.from_tag))
        return dialog if dialog is not None and dialog.call_id == marks.call_id else None

    def begin_server(self, transaction: Transaction) -> Dialog:
        """Begin the dialog of an INVITE that came, for its user (12.1.1)."""
        dialog = Dialog.of_server(transaction.request, transaction.tag, transaction.flow)
        return self._begin(dialog, transaction)

    def of_response(self, transaction: Transaction, response: Response) -> Dialog | None:
        """Find or begin the dialog that a response to an INVITE of ours belongs to (12.1.2).

        It is no 100, which belongs to none. Nor do forks beyond any that there are: each is kept.
        """
        tag, status = response.marks.to_tag, response.status
        if tag is None:
            return None
        ours = transaction.request.marks
        is_initial = ours.to_tag is None
        dialog = self.get((ours.from_tag, tag))
        if status >= 300:
            self.end_early(transaction)
            return None if is_initial else dialog
        if dialog is None:
            if not is_initial:
                return None  # an answer from nobody in this dialog
            if len(transaction.dialogs) >= (MOST_RINGING if status < 200 else MOST_FORKS):
                return None
            detour = transaction.detour
            flow = transaction.flow if detour is None else detour.flow  # TCP was for one request
            dialog = Dialog.of_client(transaction.request, response, flow)
            self._begin(dialog, transaction)
        elif status >= 200 or not dialog.is_confirmed:
            dialog.learn_target(response)
        if status >= 200 and not dialog.is_confirmed:
            dialog.is_confirmed = True
            dialog.learn_route(response)  # 13.2.2.4
        return dialog

    def ack_sent(self, transaction: Transaction, response: Response) -> tuple[bytes, Flow] | None:
        """Return the ACK that a repeated 2xx did not get (13.2.2.4), its dialog over or not."""
        tag, number = response.marks.to_tag, response.marks.number
        live = self.get((transaction.request.marks.from_tag, tag or ""))
        for dialog in transaction.dialogs if live is None else (live,):
            if dialog.remote_tag == tag and dialog.ack is not None and dialog.ack[0] == number:
                return dialog.ack[1:]
        return None

    def restore(self, dialog: Dialog, user: User) -> None:
        """Take in a dialog that a dead process had, for its user."""
        dialog.user = user
        self[dialog.key] = dialog

    def end(self, dialog: Dialog) -> None:
        """Forget a dialog, and its user with it."""
        self.pop(dialog.key, None)
        dialog.user = None

    def end_early(self, transaction: Transaction) -> None:
        """Forget what an INVITE began and nobody confirmed."""
        for dialog in transaction.dialogs:
            if not dialog.is_confirmed:
                self.end(dialog)

    def conclude(self, transaction: Transaction, *, is_accepted: bool) -> None:
        """Confirm what an INVITE that came began, or end it, by our final answer."""
        for dialog in transaction.dialogs:
            if is_accepted:
                dialog.is_confirmed = True
            else:
                self.end(dialog)
        transaction.dialogs = ()

    def _begin(self, dialog: Dialog, transaction: Transaction) -> Dialog:
        dialog.user = transaction.user
        transaction.dialogs += (dialog,)
        self[dialog.key] = dialog
        return dialog
