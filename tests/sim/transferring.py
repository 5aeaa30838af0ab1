"""What transfers need: a third phone, how one is asked for, and what its transferor is told."""

from urllib.parse import quote

from sipcore.message.message import Headers
from tests.sim.phone import Phone, Talk
from tests.sim.world import World
from tests.store.files import DEMO, replaced

# A third phone's extension: 8004.
FOUR = replaced(
    DEMO,
    (
        '[[customer]]\nid = "beta"',
        '  [[customer.extension]]\n  number = "8004"\n  name = "Store"\n'
        '  password = "store-8004"\n  account = "acme-1"\n  device = "phone"\n\n'
        '[[customer]]\nid = "beta"',
    ),
)


async def third(here: World) -> Phone:
    return await here.desk_phone("8004", "store-8004")


def reports(talk: Talk) -> list[str]:
    """Return what the transferor was told, in order."""
    notes = [one for one in talk.requests if one.method == "NOTIFY"]
    return [one.body.decode().split(" ", 1)[1].strip() for one in notes]


def refer(talk: Talk, number: str, **headers: list[str]) -> None:
    talk.request("REFER", headers={"Refer-To": [f"<sip:{number}@acme.example>"], **headers})


def attend(first: Talk, second: Talk, number: str = "8004") -> None:
    """Let a phone join its two calls."""
    named = quote(replaces_of(second), safe="")
    target = f"<sip:{number}@acme.example?Replaces={named}>"
    first.request("REFER", headers={"Refer-To": [target]})


def replaces_of(talk: Talk) -> str:
    """Name a phone's dialog as it does itself: to-tag is ours, from-tag its own."""
    dialog = talk.dialog
    assert dialog is not None
    return f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"


def ask(by: Phone, replaced: Talk, answer: bytes) -> Talk:
    """Ask for a dialog without SDP, and answer the offer of the 200 in the ACK."""
    return begin(by, "8000", {"Replaces": [replaces_of(replaced)]}, answer)


def begin(by: Phone, number: str, headers: Headers, answer: bytes) -> Talk:
    """Call without SDP, and answer the offer of the 200 in the ACK."""
    talk = by.call(number, headers, b"")

    def ack(response: object, body: bytes = b"") -> None:
        Talk.ack(talk, talk.answers[-1], answer)
        talk.ack = lambda response, body=b"": Talk.ack(talk, response, body)  # type: ignore[method-assign]

    talk.ack = ack  # type: ignore[method-assign]
    return talk
