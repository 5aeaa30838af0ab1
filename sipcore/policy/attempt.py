"""The values that go into and come out of a decision. All frozen; call/ turns them into SIP."""

from typing import Literal

from msgspec import Struct

from sipcore.policy.book import Carrier, Identity, Trunk
from sipcore.policy.concurrency import Want

Direction = Literal["internal", "outbound", "inbound"]


class Source(Struct, frozen=True, gc=False):
    """Who calls. `id`: an extension's number, a trunk's or carrier's id (which has no customer)."""

    kind: Literal["extension", "trunk", "carrier"]
    id: str
    customer: str = ""
    account: str = ""


def source_of(who: Identity | Trunk | Carrier) -> Source:
    """Return whom a digest identity or a peer's address stands for, as the source of a call."""
    if isinstance(who, Identity):
        return Source(who.kind, who.id, who.customer, who.account)
    if isinstance(who, Carrier):
        return Source("carrier", who.id)
    return Source("trunk", who.id, who.customer, who.account)


class Attempt(Struct, frozen=True, gc=False):
    """A wish to call. `dialled`: the user part as it was sent.

    `asserted`: the number that the caller says is his (P-Asserted-Identity, else
    P-Preferred-Identity, else From), None where From is anonymous. `draw`: a random number in
    [0, 1), for the choice among carriers of equal priority. `remaining`: who will talk in the end,
    where the source transfers or forwards a call; a carrier there is one by which we have called.
    `is_private`: the number is to be hidden from who is not trusted; `is_critical`: the call is to
    fail rather than show it (RFC 3323).
    """

    source: Source
    dialled: str
    asserted: str | None = None
    draw: float = 0.0
    remaining: Source | None = None
    is_private: bool = False
    is_critical: bool = False


class ExtensionTarget(Struct, frozen=True, tag="extension", gc=False):
    """All devices registered to an extension."""

    customer: str
    number: str


class TrunkTarget(Struct, frozen=True, tag="trunk", gc=False):
    """A customer's PBX. `number` and `caller` are written the way it wants them."""

    id: str
    number: str
    caller: str


class CarrierTarget(Struct, frozen=True, tag="carrier"):
    """A gateway to the public network. `slots` are taken when it is tried."""

    id: str
    number: str
    caller: str
    slots: tuple[Want, ...]


Target = ExtensionTarget | TrunkTarget | CarrierTarget


class Permit(Struct, frozen=True, gc=False):
    """The call may be tried. `targets`: groups, one after the other; all of a group ring at once.

    `slots` are taken before any INVITE leaves. `caller_shown` is +E.164 towards outside, an
    extension's number (and `caller_name`) inside. `device` is the caller's kind of device;
    `is_recorded`: the caller's calls are.
    """

    direction: Direction
    customer: str
    account: str
    caller_asserted: str
    caller_shown: str
    caller_name: str
    callee_routed: str
    targets: tuple[tuple[Target, ...], ...]
    slots: tuple[Want, ...]
    device: str
    is_emergency: bool = False
    is_recorded: bool = False


class Refuse(Struct, frozen=True, gc=False):
    """The call may not be tried, or went nowhere. `said` names the announcement for the caller.

    The columns that a CDR has also for a refused attempt are filled as far as they are known.
    """

    rule: str
    reason: str
    sip_status: int
    q850_cause: int
    said: str
    direction: Direction
    customer: str = ""
    account: str = ""
    caller_asserted: str = ""
    caller_shown: str = ""
    callee_routed: str = ""
    device: str = ""


class Answer(Struct, frozen=True, gc=False):
    """What a refusal says in the words of SIP, of Q.850, and of the announcement."""

    sip_status: int
    q850_cause: int
    said: str


_LINES_IN_USE = "lines-in-use"
_NOT_PERMITTED = Answer(403, 21, "not-permitted")

# service.md section 5, second table. A direction makes a row more special.
ANSWERS: dict[tuple[str, str], Answer] = {
    ("money", ""): Answer(402, 21, "balance-low"),
    ("barred", ""): Answer(402, 21, "balance-low"),
    ("concurrency", ""): Answer(403, 21, _LINES_IN_USE),
    ("concurrency", "inbound"): Answer(486, 17, _LINES_IN_USE),
    ("display-number", ""): _NOT_PERMITTED,
    ("display-number", "critical"): Answer(500, 21, "not-permitted"),  # RFC 3323 5
    ("real-name", ""): _NOT_PERMITTED,
    ("use", ""): _NOT_PERMITTED,
    ("soft-landing", ""): _NOT_PERMITTED,
    ("destination", ""): _NOT_PERMITTED,
    ("third-party", ""): _NOT_PERMITTED,
    ("wholesale", ""): _NOT_PERMITTED,
    ("mass-calling", ""): _NOT_PERMITTED,
    ("one-ring", ""): _NOT_PERMITTED,
    ("harassment", ""): Answer(603, 21, "not-permitted"),
    ("carriers", ""): Answer(503, 34, "network-busy"),
    ("unknown", ""): Answer(404, 1, "unknown-number"),
}


def answer_to(rule: str, towards: str = "") -> Answer:
    """Return how a rule's refusal reads. Raises KeyError for a rule that has no row."""
    return ANSWERS.get((rule, towards)) or ANSWERS[rule, ""]


def refuse_permitted(permit: Permit, rule: str, reason: str, towards: str = "") -> Refuse:
    """Return the refusal of a call that was permitted and then failed: no carrier answered, say."""
    answer = answer_to(rule, towards or permit.direction)
    return Refuse(
        rule=rule,
        reason=reason,
        sip_status=answer.sip_status,
        q850_cause=answer.q850_cause,
        said=answer.said,
        direction=permit.direction,
        customer=permit.customer,
        account=permit.account,
        caller_asserted=permit.caller_asserted,
        caller_shown=permit.caller_shown,
        callee_routed=permit.callee_routed,
        device=permit.device,
    )
