"""Provisioning files for tests: the demonstration's, and written-down parts of one."""

from pathlib import Path

DEMO = (Path(__file__).parents[2] / "deploy" / "demo.toml").read_text("utf-8")


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """Return the text with each change made once; a change that does not apply is a bug."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def line_of(text: str, part: str, nth: int = 1) -> int:
    """Return the line on which the nth occurrence of a part stands."""
    at = -1
    for _ in range(nth):
        at = text.index(part, at + 1)
    return text.count("\n", 0, at) + 1


def customer(name: str, *parts: str) -> str:
    return (
        f'[[customer]]\nid = "{name}"\nname = "{name}"\ndomain = "{name}.example"\n'
        f"verified = true\n{''.join(parts)}"
    )


def account(name: str, plans: str = '"pbx-8-32"', more: str = "") -> str:
    return f'[[customer.account]]\nid = "{name}"\nplans = [{plans}]\nopened = 2026-11-22\n{more}'


def acme(*parts: str) -> str:
    return customer("acme", account("acme-1"), *parts)


def number(digits: str, account: str, to: str) -> str:
    return f'[[customer.number]]\nnumber = "{digits}"\naccount = "{account}"\nto = "{to}"\n'


def extension(digits: str, account: str, password: str = "secret", more: str = "") -> str:
    return (
        f'[[customer.extension]]\nnumber = "{digits}"\npassword = "{password}"\n'
        f'account = "{account}"\n{more}'
    )


def trunk(name: str, account: str, more: str = "") -> str:
    return (
        f'[[customer.trunk]]\nid = "{name}"\naccount = "{account}"\nchannels = 2\n'
        f'uri = "sip:192.0.2.1"\n{more}'
    )


def carrier(name: str, more: str = "") -> str:
    return f'[[carrier]]\nid = "{name}"\nuri = "sip:192.0.2.9"\nchannels = 10\n{more}'


def large(extensions: int) -> str:
    """Return customers of 100 extensions each."""
    parts = []
    for at in range(extensions // 100):
        name = f"c{at}"
        lines = [extension(f"{8000 + one}", f"{name}-1", f"{at}-{one}") for one in range(100)]
        parts.append(customer(name, account(f"{name}-1", '"ext-128"'), *lines))
    return "".join(parts)
