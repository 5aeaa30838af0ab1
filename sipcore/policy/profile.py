"""What peers do differently: named settings of a carrier or a trunk, each with a default.

One struct is what a provisioning file says, what is stored, and what a call goes by. docs/trunks.md
has a row for each; a test holds them together.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from sipcore.numbering import Home, Style, normalise, read_e164, write

CallerField = Literal[
    "From", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"
]  # RFC 3261, 3325; draft-ietf-sip-privacy-04
Dtmf = Literal["any", "info", "sound"]
Domain = Annotated[str, Meta(min_length=1, max_length=253)]


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of one peer. Without any of it a peer gets what most take."""

    numbers: Style = Style.NATIONAL  # how it is told numbers
    caller_numbers: Style | None = None  # the caller's; None: like `numbers`
    reads: Literal["dialled", "e164"] = "dialled"  # what its own numbers mean without a +
    area: Annotated[str, Meta(pattern="^0?[0-9]{2,4}$")] | None = None  # where it stands
    caller_in: tuple[CallerField, ...] = ("From", "P-Asserted-Identity")
    from_domain: Domain | None = None  # the host in From and its like; None: the node's
    user_phone: bool = False  # ;user=phone behind telephone numbers
    number_in: Literal["request-uri", "to", "p-called-party-id"] = "request-uri"
    codecs: tuple[str, ...] = ()  # what it is offered, in this order; none: all
    dtmf: Dtmf = "any"  # how keys go to and fro: as agreed, by INFO alone, as sound alone
    early_media: Literal["any", "183", "none"] = "any"  # which of its 18x carry sound
    ringback: Literal["own", "ours"] = "own"  # what its callers hear at a 180 without SDP
    forwards_told: Literal["nothing", "diversion", "history-info", "both"] = "nothing"  # RFC 5806
    follows_redirects: bool = False  # its 3xx is followed, under the caller's rights

    def home(self, node: Home) -> Home:
        """Return where the peer stands: local numbers are of its area."""
        return node if self.area is None else replace(node, area=self.area)

    def told(self, number: str, node: Home) -> str:
        """Write a callee's number the way the peer wants it."""
        return write(number, self.numbers, self.home(node))

    def told_caller(self, number: str, node: Home) -> str:
        """Write the caller's number the way the peer wants it."""
        return write(number, self.caller_numbers or self.numbers, self.home(node))

    def read(self, number: str, node: Home) -> str | None:
        """Read a number that the peer has sent, as numbering.normalise does."""
        found = read_e164(number, node) if self.reads == "e164" else None
        return found or normalise(number, self.home(node))

    def hears(self, status: int) -> bool:
        """Tell whether the SDP of a provisional answer is early media."""
        return self.early_media == "any" or (self.early_media == "183" and status == 183)


USUAL = Profile()
