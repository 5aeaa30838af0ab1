"""Ending: why a call is over, in the words of SIP, Q.850, the CDR and the rules."""

from typing import Literal

from msgspec import Struct

from sipcore.message.message import Message
from sipcore.message.reason import q850_in, q850_of, write_q850
from sipcore.policy.attempt import Refuse

EndedBy = Literal["caller", "callee", "node"]


class Ending(Struct, frozen=True, gc=False):
    """How a call ended. `status` is what the caller got, 200 for one that was answered.

    `proof_age_s`: the end was inferred; the last sign of life was so many seconds ago.
    `is_quoted`: the reason is a peer's own words, which may name its hosts: no other peer is told.
    """

    by: EndedBy
    status: int
    q850: int
    reason: str = ""
    rule: str = ""
    proof_age_s: float | None = None
    is_quoted: bool = False

    @property
    def is_no_answer(self) -> bool:
        """True for a failure of the way there, not an answer of somebody who was reached."""
        return self.status == 408 or 500 <= self.status < 600

    @property
    def header(self) -> str:
        """The Reason header for whoever is told of the end."""
        said = "" if self.is_quoted else self.reason
        return write_q850(self.q850, f"{self.rule}: {said}" if self.rule else said)


def refused(refusal: Refuse) -> Ending:
    """Return the ending of an attempt that a rule refused."""
    return Ending("node", refusal.sip_status, refusal.q850_cause, refusal.reason, rule=refusal.rule)


def failed(status: int, reason: str, by: EndedBy = "node", q850: int | None = None) -> Ending:
    """Return the ending of an attempt that got a final status other than 2xx."""
    return Ending(by, status, q850_of(status) if q850 is None else q850, reason)


def quoted(status: int, words: str, q850: int | None = None) -> Ending:
    """Return the ending of an attempt that a callee refused, in its own words."""
    cause = q850_of(status) if q850 is None else q850
    return Ending("callee", status, cause, words, is_quoted=True)


def hung_up(by: EndedBy, bye: Message | None = None, reason: str = "") -> Ending:
    """Return the ending of an answered call; the BYE's own Q.850 cause counts."""
    cause = q850_in(bye) if bye is not None else None
    return Ending(by, 200, 16 if cause is None else cause, reason)
