"""The customers of a bench: accounts of many plans, phones with passwords, one carrier. Pure."""

from collections.abc import Sequence

from msgspec import Struct

PLANS = 12  # pbx-8-32 so many times: 96 channels, 384 extensions an account
PHONES = 128  # of an account
DIALLED = "13800138000"


class Phone(Struct, frozen=True):
    """Who registers and calls. Extension numbers are unique in their customer's domain only."""

    user: str
    domain: str
    password: str


PBX = Phone("02136009999", "pbx.example", "")  # shows its number, and needs no password


def phones(accounts: int) -> list[Phone]:
    """Return the phones of so many accounts, of one customer each; neighbours differ in account."""
    return [
        Phone(str(8000 + one), f"c{at}.example", f"secret-{at}-{one}")
        for one in range(PHONES)
        for at in range(accounts)
    ]


def provisioning(accounts: int, carrier: tuple[str, int]) -> str:
    """Return a provisioning file for `sipcore import`."""
    address, port = carrier
    parts = [
        f'[[carrier]]\nid = "carrier"\nuri = "sip:{address}:{port}"\nchannels = 100000\n'
        f'accept_from = ["{address}/32"]\nallow = ["national"]\n'
    ]
    by_domain: dict[str, list[Phone]] = {}
    for phone in phones(accounts):
        by_domain.setdefault(phone.domain, []).append(phone)
    for at, (domain, mine) in enumerate(by_domain.items()):
        plans = ", ".join(['"pbx-8-32"'] * PLANS)
        parts.append(
            f'[[customer]]\nid = "c{at}"\nname = "Customer {at}"\ndomain = "{domain}"\n'
            f'verified = true\n[[customer.account]]\nid = "c{at}-1"\nplans = [{plans}]\n'
            f"opened = 2026-01-01\n"
            f'[[customer.number]]\nnumber = "0213600{at:04d}"\naccount = "c{at}-1"\n'
            f'to = "{mine[0].user}"\n'
        )
        parts += [
            f'[[customer.extension]]\nnumber = "{one.user}"\npassword = "{one.password}"\n'
            f'account = "c{at}-1"\ndevice = "phone"\n'
            for one in mine
        ]
    return "".join(parts)


def pbx(address: str, channels: int = 1000) -> str:
    """Return more of a provisioning file: a customer whose trunk is known by its address alone."""
    plans = ", ".join(['"pbx-8-32"'] * max(PLANS * 2, -(-channels // 8)))
    return (
        '[[customer]]\nid = "pbx"\nname = "PBX"\ndomain = "pbx.example"\nverified = true\n'
        f'[[customer.account]]\nid = "pbx-1"\nplans = [{plans}]\nopened = 2026-01-01\n'
        f'[[customer.number]]\nnumber = "{PBX.user}"\naccount = "pbx-1"\nto = "trunk:pbx"\n'
        f'[[customer.trunk]]\nid = "pbx"\naccount = "pbx-1"\nuri = "sip:{address}:5060"\n'
        f'accept_from = ["{address}/32"]\nchannels = {channels}\n'
    )


def injection(mine: Sequence[Phone]) -> str:
    """Return a SIPp injection file: user, domain, credentials, number dialled.

    SIPp 3.6 reads a field within [authentication …] wrongly, but a whole one in a field rightly.
    """
    rows = (
        f"{one.user};{one.domain};"
        f"[authentication username={one.user} password={one.password}];{DIALLED}"
        for one in mine
    )
    return "SEQUENTIAL\n" + "\n".join(rows) + "\n"
