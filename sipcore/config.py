"""Config: what `sipcore serve --config FILE` reads. Frozen, decoded from TOML, units in the names.

Every key has a default, so the embedded default is `Config()`. An unknown key or a wrong value is
refused with its place in the file. deploy/sipcore.toml is the commented example.
"""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from sipcore.errors import BadConfig

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name = "node-1"
    data: str = "var"
    language: Literal["zh", "en"] = "zh"
    realm: Name = "sipcore"
    country: Annotated[str, Meta(pattern="^[0-9]{1,3}$")] = "86"
    area: Annotated[str, Meta(pattern="^0?[0-9]{0,4}$")] = "021"
    hotline: Annotated[str, Meta(pattern="^[0-9]{3,15}$")] = "10088"


class KeyPair(Struct, frozen=True, forbid_unknown_fields=True):
    certificate: str
    key: str


class Listen(Struct, frozen=True, forbid_unknown_fields=True):
    transport: Literal["udp", "tcp", "tls", "ws", "wss"] = "udp"
    address: str = "127.0.0.1"
    port: Port = 5060
    advertise: str | None = None
    certificate: str | None = None
    key: str | None = None
    certificates: tuple[KeyPair, ...] = ()
    client_ca: str | None = None
    origins: tuple[str, ...] = ()

    @property
    def is_secure(self) -> bool:
        return self.transport in ("tls", "wss")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Certificate and key files; the first are for clients that name no other server."""
        first = [(self.certificate, self.key)] if self.certificate and self.key else []
        return [*first, *((one.certificate, one.key) for one in self.certificates)]


class Sip(Struct, frozen=True, forbid_unknown_fields=True):
    digest: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    tls_ca: str | None = None
    path: Literal["any", "supported"] = "any"
    service_route: tuple[Annotated[str, Meta(pattern=r"^<sips?:[^<>\s,]+>$")], ...] = ()
    local_networks: tuple[str, ...] = ()
    reliable: Literal["off", "supported", "required"] = "supported"
    session_expires_s: Annotated[int, Meta(ge=0, le=86400)] = 1800
    min_se_s: Annotated[int, Meta(ge=90, le=86400)] = 90


class Media(Struct, frozen=True, forbid_unknown_fields=True):
    address: str = "127.0.0.1"
    address6: str | None = None
    ports: tuple[Port, Port] = (10000, 19999)
    workers: Count = 1
    wire: Literal["auto", "epoll"] = "auto"
    jitter_ms: tuple[Count, Count] = (20, 120)
    silence_s: Count = 60


class Store(Struct, frozen=True, forbid_unknown_fields=True):
    url: Literal["sqlite"] = "sqlite"


class Web(Struct, frozen=True, forbid_unknown_fields=True):
    address: str = "127.0.0.1"
    port: Port = 8080


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    calls: Count = 2000
    invites_per_s: Count = 3000
    registers_per_s: Count = 30000
    contacts_per_extension: Count = 5
    subscribes_per_s: Count = 1000
    subscriptions: Count = 20_000
    subscriptions_per_extension: Count = 200
    drain_s: Annotated[int, Meta(ge=0)] = 30


class Guard(Struct, frozen=True, forbid_unknown_fields=True):
    messages_per_s: Count = 200
    known_messages_per_s: Count = 20_000
    invites_per_s: Count = 100
    registers_per_s: Count = 500
    calls: Count = 1000
    calls_per_extension: Count = 200
    nft: Literal["off", "auto"] = "off"
    nft_messages_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 2000


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    node: Node = Node()
    listen: tuple[Listen, ...] = (Listen("udp"), Listen("tcp"))
    sip: Sip = Sip()
    media: Media = Media()
    store: Store = Store()
    web: Web = Web()
    limits: Limits = Limits()
    guard: Guard = Guard()


def parse_config(text: str) -> Config:
    """Decode TOML text.

    Raises BadConfig with every fault found, each with its place.
    """
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as fault:
        raise BadConfig([str(fault)]) from None
    except msgspec.ValidationError as fault:
        raise BadConfig([str(fault)]) from None
    faults = list(_contradictions(config))
    if faults:
        raise BadConfig(faults)
    return config


def read_config(path: Path | None) -> Config:
    """Read a configuration file; with none, return the embedded default. Raises BadConfig."""
    if path is None:
        return Config()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadConfig([f"cannot be read: {fault}"]) from None
    return parse_config(text)


def _contradictions(config: Config) -> list[str]:
    """Return what no single value shows: ranges turned round, ports too few for the calls."""
    faults = []
    first, last = config.media.ports
    if first >= last:
        faults.append(f"media.ports: first {first} is not below last {last} - at `$.media.ports`")
    elif (needed := int(config.limits.calls * 4 * 1.2)) > last - first + 1:
        faults.append(
            f"limits.calls = {config.limits.calls} needs {needed} media ports"
            f" (4 a call and a fifth in quarantine), media.ports has {last - first + 1}"
            " - at `$.media.ports`"
        )
    if config.media.address in ("0.0.0.0", "::"):
        faults.append(
            "media.address: phones are told this address, so it must be one of this machine's own"
            f", not {config.media.address} - at `$.media.address`"
        )
    six = config.media.address6
    if six is not None and (":" not in six or six == "::" or ":" in config.media.address):
        faults.append(
            "media.address6: an IPv6 address of this machine's own, beside an IPv4 address in"
            f" media.address, not {six} - at `$.media.address6`"
        )
    if config.media.jitter_ms[0] > config.media.jitter_ms[1]:
        faults.append("media.jitter_ms: least is above greatest - at `$.media.jitter_ms`")
    if not config.listen:
        faults.append("no address to listen on - at `$.listen`")
    if 0 < config.sip.session_expires_s < config.sip.min_se_s:
        faults.append("sip.session_expires_s is below sip.min_se_s - at `$.sip.session_expires_s`")
    if not config.sip.digest:
        faults.append("no digest algorithm - at `$.sip.digest`")
    faults += [fault for at, one in enumerate(config.listen) for fault in _of_listen(one, at)]
    faults += [
        f"{text!r} is no network like 10.0.0.0/8 - at `$.sip.local_networks`"
        for text in config.sip.local_networks
        if not _is_network(text)
    ]
    places = [(one.transport, one.address, one.port) for one in config.listen]
    faults += [
        f"{transport} {address}:{port} stands twice - at `$.listen`"
        for transport, address, port in sorted(
            {place for place in places if places.count(place) > 1}
        )
    ]
    return faults


def _of_listen(one: Listen, at: int) -> list[str]:
    faults = []
    where = f"at `$.listen[{at}]`"
    if one.is_secure and not (one.certificate and one.key):
        faults.append(f"{one.transport} needs a certificate and its key - {where}")
    if not one.is_secure and (one.certificate or one.key or one.certificates or one.client_ca):
        faults.append(f"{one.transport} has no use for certificates - {where}")
    if one.origins and one.transport not in ("ws", "wss"):
        faults.append(f"origins are of ws and wss, not of {one.transport} - {where}")
    return faults


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
