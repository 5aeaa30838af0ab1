"""Phones that send their calls on by a 302."""

from tests.sim.phone import Phone


def deflect(phone: Phone, *contacts: str) -> None:
    """Let a phone send its calls on."""
    rows = [one if "<" in one else f"<sip:{one}@acme.example>" for one in contacts]
    phone.on_invite = lambda talk: phone.refuse(talk, 302, {"Contact": rows})
