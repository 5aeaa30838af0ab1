"""TLS for SIP (RFC 3261 26.2, RFC 5922): our certificates by server name, what peers' prove.

Knows files and names, no sockets. A context is made in the process that uses it and stays there.
"""

import ipaddress
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from msgspec import Struct

from sipcore.errors import CannotStart
from sipcore.log import logger

_log = logger(__name__)

Pair = tuple[str, str]  # files: the certificate with its chain, its key
Stamp = tuple[int, int, int]


class _Shown(Struct):
    """What is shown to clients: a context a certificate, by the names that it is for."""

    first: ssl.SSLContext
    by_name: dict[str, ssl.SSLContext]
    expires_at: float  # the first of them to expire, seconds since 1970


class Tls:
    """How one listening address speaks TLS, 1.2 or later.

    A client that asks for a name gets the certificate for it, any other the first of `pairs`.
    `client_ca`: a file of CAs; then clients may show certificates, and one that does not verify
    ends the handshake. `ca`: a file of the CAs that peers we connect to need; "": the system's.
    Raises CannotStart, naming the file.
    """

    def __init__(self, pairs: Sequence[Pair], client_ca: str = "", ca: str = "") -> None:
        self._pairs = tuple(pairs)
        self._client_ca = client_ca
        self._ca = ca
        self._stamps = self._look()
        self._shown = self._load()
        self.connecting = _connecting(self._ca, self._pairs[0])
        # Each handshake begins here, and goes on in the context that was loaded last.
        self.accepting = _accepting(self._pairs[0], client_ca)
        self.accepting.sni_callback = self._choose

    @property
    def expires_at(self) -> float:
        """When the first of our certificates expires, seconds since 1970."""
        return self._shown.expires_at

    def reload(self) -> bool:
        """Load the files anew if one has changed; new connections use them, others go on.

        False where nothing changed, or the files do not fit together (yet): the old ones stay.
        """
        stamps = self._look()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            shown, connecting = self._load(), _connecting(self._ca, self._pairs[0])
        except CannotStart as fault:
            _log.warning("certificates stay as they were: %s", fault)
            return False
        self._shown, self.connecting = shown, connecting
        _log.info("certificates loaded anew: %s", ", ".join(pair[0] for pair in self._pairs))
        return True

    def _look(self) -> list[Stamp | None]:
        files = [file for pair in self._pairs for file in pair]
        return [_stamp(file) for file in (*files, self._client_ca, self._ca)]

    def _load(self) -> _Shown:
        by_name: dict[str, ssl.SSLContext] = {}
        expires: list[float] = []
        contexts = []
        for pair in self._pairs:
            context = _accepting(pair, self._client_ca)
            names, expires_at = _read(pair[0])
            contexts.append(context)
            expires.append(expires_at)
            for name in names:
                by_name.setdefault(name, context)
        return _Shown(contexts[0], by_name, min(expires))

    def _choose(
        self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> None:
        shown = self._shown
        asked = (name or "").lower().rstrip(".")
        handshake.context = (
            shown.by_name.get(asked)
            or shown.by_name.get(f"*.{asked.partition('.')[2]}")
            or shown.first
        )


def proven_names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the SIP domains that a verified certificate is for (RFC 5922 7.1), lower case.

    `sip:` URIs; without any, DNS names and addresses; without a subjectAltName the common name. A
    name with a wildcard stands for itself alone (7.2).
    """
    if not certificate:
        return ()
    others = certificate.get("subjectAltName", ())
    if not others:
        subject = (field for part in certificate.get("subject", ()) for field in part)
        return tuple(value.lower() for name, value in subject if name == "commonName")
    uris = [value.lower().removeprefix("sip:") for kind, value in others if kind == "URI"
            and value.lower().startswith("sip:") and "@" not in value]  # fmt: skip
    return tuple(uris) or tuple(
        canonical(value) for kind, value in others if kind in ("DNS", "IP Address")
    )


def canonical(name: str) -> str:
    """Write a name or an address as names are compared: lower case, IPv6 shortened."""
    try:
        return ipaddress.ip_address(name.strip()).compressed
    except ValueError:
        return name.lower().rstrip(".")


def _accepting(pair: Pair, client_ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _limit(context)
    _show(context, pair)
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        _believe(context, client_ca)
    return context


def _connecting(ca: str, pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _limit(context)
    context.check_hostname = False  # it takes wildcards and knows no URIs: connection.py looks
    _show(context, pair)  # a peer may want to know us by it
    if ca:
        _believe(context, ca)
    else:
        context.load_default_certs()
    return context


def _limit(context: ssl.SSLContext) -> None:
    """No session is resumed: each handshake looks at certificates as they are now."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if context.protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0


def _show(context: ssl.SSLContext, pair: Pair) -> None:
    try:
        context.load_cert_chain(*pair, password="")  # one with a password must not ask for it
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        why = getattr(fault, "strerror", None) or str(fault)
        raise CannotStart(
            f"certificate {pair[0]} with key {pair[1]} cannot be used: {why}"
        ) from None


def _believe(context: ssl.SSLContext, ca: str) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as fault:
        raise CannotStart(f"CA file {ca} cannot be used: {fault.strerror or fault}") from None


def _read(file: str) -> tuple[list[str], float]:
    """Return the server names of a certificate and when it expires. Raises CannotStart."""
    try:
        with open(file, "rb") as opened:
            certificate = x509.load_pem_x509_certificate(opened.read())
        names = _names(certificate)
    except (OSError, ValueError) as fault:
        raise CannotStart(f"certificate {file} cannot be read: {fault}") from None
    return names, certificate.not_valid_after_utc.timestamp()


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    sip = [uri.lower()[4:] for uri in uris if uri.lower().startswith("sip:")]
    return [name.lower() for name in found.get_values_for_type(x509.DNSName)] + sip


def _stamp(file: str) -> Stamp | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
