"""What a single value of a provisioning file must look like, field by field, in plain words.

Each check returns why a value is wrong, or None. What values mean together is for check.py.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from sipcore.numbering import is_digits, normalise
from sipcore.policy.peers import parse_peer_address
from sipcore.policy.profile import Profile
from sipcore.policy.routing import EMERGENCY
from sipcore.rating.money import yuan
from sipcore.rating.tables import Fault
from sipcore.store.forms import (
    AccountForm,
    CarrierForm,
    CustomerForm,
    ExtensionForm,
    LoginForm,
    NumberForm,
    OptionForm,
    Placed,
    RegisterForm,
    TrunkForm,
)
from sipcore.store.rows import Site

Check = Callable[[Any, Site], str | None]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_USER = re.compile(r"[A-Za-z0-9._+~-]{1,64}")
_URI = re.compile(
    r"sips?:(?:[^@;?\s<>]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:;?@\s<>\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<parameters>(?:;[^;?\s<>]+)*)"
)
_CODEC = re.compile(r"[A-Za-z0-9-]{1,32}")
_TARGET = re.compile(r"[0-9]{2,8}|hotline|(?:group|ivr|queue|conference|trunk):\S+")
_EXTENSION_DIGITS = range(2, 9)
_PIN_DIGITS = range(4, 13)


def value_faults(placed: Placed, site: Site) -> Iterator[Fault]:
    """Yield a fault for every value of a table that is wrong by itself."""
    for key, check in _CHECKS[type(placed.form)].items():
        value = getattr(placed.form, key)
        if value is not None and (reason := check(value, site)) is not None:
            yield (*placed.place, key), f"{key}: {reason}"


def uri_host(uri: str) -> str:
    """Return the host of a URI that has passed its check, without brackets."""
    match = _URI.fullmatch(uri)
    return match["host"].strip("[]") if match is not None else ""


def is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _id(value: str, _site: Site) -> str | None:
    if _ID.fullmatch(value):
        return None
    return f"{value!r} is not an id: letters, digits, . _ -, at most 64"


def _name(value: str, _site: Site) -> str | None:
    if value.strip() and value.isprintable() and len(value) <= 128:
        return None
    return "must be printable, not empty, at most 128 characters"


def _label(value: str, site: Site) -> str | None:
    return _name(value, site) if value else None


def _domain(value: str, _site: Site) -> str | None:
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        return f"{value!r} is not a domain name"
    return f"{value} is an address, not a domain name" if is_address(value) else None


def _uri(value: str, _site: Site) -> str | None:
    match = _URI.fullmatch(value)
    if match is None:
        return f"{value!r} is not a SIP URI: sip:HOST:PORT;transport=udp"
    if (why := _host(match["host"])) is not None:
        return why
    if match["port"] is not None and not 1 <= int(match["port"]) <= 65535:
        return f"port {match['port']} is not 1 to 65535"
    for parameter in match["parameters"].lower().split(";"):
        name, _, transport = parameter.partition("=")
        if name == "transport" and transport not in ("udp", "tcp", "tls"):
            return f"transport {transport!r} is not udp, tcp or tls"
    return None


def _host(host: str) -> str | None:
    looks_like_address = host.startswith("[") or host.replace(".", "").isdigit()
    if is_address(host) or (not looks_like_address and _DOMAIN.fullmatch(host)):
        return None
    return f"{host!r} is neither an address nor a domain name"


def _accept_from(value: tuple[str, ...], _site: Site) -> str | None:
    for entry in value:
        try:
            parse_peer_address(entry)
        except ValueError as fault:
            return f"{entry!r} is not ADDRESS/BITS or ADDRESS:PORT ({fault})"
    return None


def _register(value: RegisterForm, site: Site) -> str | None:
    if (why := _user(value.user, site)) is not None:
        return f"{why}; a name with @ goes into auth_user" if "@" in value.user else why
    if value.auth_user is not None and (why := _password(value.auth_user, site)) is not None:
        return f"auth_user {why}"
    if (why := _password(value.password, site)) is not None:
        return f"password {why}"
    return _host(value.domain) if value.domain is not None else None


def _login(value: LoginForm, site: Site) -> str | None:
    if (why := _password(value.user, site)) is not None:
        return f"user {why}"
    return None if (why := _password(value.password, site)) is None else f"password {why}"


def _tls_names(value: tuple[str, ...], site: Site) -> str | None:
    return next((why for one in value if (why := _domain(one, site)) is not None), None)


def _profile(value: Profile, _site: Site) -> str | None:
    if value.from_domain is not None and (why := _host(value.from_domain)) is not None:
        return f"from_domain: {why}"
    for one in value.codecs:
        if not _CODEC.fullmatch(one):
            return f"codecs: {one!r} is not a codec's name: PCMA, G729, opus"
    for name, said in (("codecs", value.codecs), ("caller_in", value.caller_in)):
        if len(set(said)) != len(said):
            return f"{name}: one stands twice"
    return None if value.caller_in else "caller_in: names no header"


def _classes(value: tuple[str, ...], site: Site) -> str | None:
    if not value:
        return "names no destination class"
    return next((why for one in value if (why := _id(one, site)) is not None), None)


def _public_number(value: str, site: Site) -> str | None:
    number = normalise(value, site.home)
    if number is None or number[0] != "+":
        return f"{value!r} is not a number of the public network"
    return None


def _extension_number(value: str, site: Site) -> str | None:
    if not is_digits(value) or len(value) not in _EXTENSION_DIGITS:
        return f"{value!r} is not an extension number: 2 to 8 digits"
    if value in EMERGENCY:
        return f"{value} is an emergency number"
    return f"{value} is the hotline's number" if value == site.hotline else None


def _to(value: str, _site: Site) -> str | None:
    if _TARGET.fullmatch(value):
        return None
    return f"{value!r} is neither an extension nor group:, ivr:, queue:, trunk:ID or hotline"


def _password(value: str, _site: Site) -> str | None:
    if not value:
        return "is empty"
    return None if value.isprintable() else "has control characters"


def _pin(value: str, _site: Site) -> str | None:
    if is_digits(value) and len(value) in _PIN_DIGITS:
        return None
    return "must be 4 to 12 digits: it is entered on a phone's keys"


def _user(value: str, _site: Site) -> str | None:
    return None if _USER.fullmatch(value) else f"{value!r} is not a user name"


def _amount(value: object, _site: Site) -> str | None:
    try:
        return "is below zero" if yuan(value) < 0 else None  # type: ignore[arg-type]
    except ValueError as fault:
        return str(fault)


def _digest(value: tuple[str, ...], _site: Site) -> str | None:
    return "an algorithm stands twice" if len(set(value)) != len(value) else None


def _plans(value: tuple[str, ...], _site: Site) -> str | None:
    return None if value else "names no plan"


def _options(value: tuple[str | OptionForm, ...], _site: Site) -> str | None:
    ids = [one if isinstance(one, str) else one.id for one in value]
    return next((f"{one} stands twice" for one in ids if ids.count(one) > 1), None)


_CHECKS: dict[type[Any], dict[str, Check]] = {
    CarrierForm: {
        "id": _id,
        "uri": _uri,
        "accept_from": _accept_from,
        "allow": _classes,
        "register": _register,
        "tls_names": _tls_names,
        "login": _login,
        "profile": _profile,
    },
    CustomerForm: {
        "id": _id,
        "name": _name,
        "domain": _domain,
        "industry": _label,
        "purpose": _label,
    },
    AccountForm: {
        "id": _id,
        "credit_limit": _amount,
        "plans": _plans,
        "options": _options,
        "deposit": _amount,
        "hotline_password": _pin,
    },
    NumberForm: {"number": _public_number, "to": _to},
    ExtensionForm: {
        "number": _extension_number,
        "name": _label,
        "password": _password,
        "display_number": _public_number,
        "digest": _digest,
    },
    TrunkForm: {
        "id": _id,
        "uri": _uri,
        "accept_from": _accept_from,
        "user": _user,
        "password": _password,
        "tls_names": _tls_names,
        "login": _login,
        "profile": _profile,
    },
}
