"""Secrets at rest. What others prove to us is hashed; what we must prove to others is sealed.

The key is DATA/secret.key, 32 random bytes, made on first use, readable by its owner alone.
"""

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from sipcore.errors import CannotStart
from sipcore.ids import Ids

_KEY_BYTES = 32
_NONCE_BYTES = 12  # AES-GCM, NIST SP 800-38D 8.2.2: random 96 bits


class Ha1s(Struct, frozen=True):
    """Hashes of user:realm:password; `_domain`: of user@domain:realm:password (RFC 7616 3.4.2)."""

    md5: str
    md5_domain: str
    sha256: str
    sha256_domain: str


def ha1s(user: str, domain: str, realm: str, password: str) -> Ha1s:
    """Return the digest hashes of both user name forms (RFC 7616 3.4.2)."""
    short = f"{user}:{realm}:{password}".encode()
    long = f"{user}@{domain}:{realm}:{password}".encode()
    return Ha1s(
        hashlib.md5(short, usedforsecurity=False).hexdigest(),
        hashlib.md5(long, usedforsecurity=False).hexdigest(),
        hashlib.sha256(short).hexdigest(),
        hashlib.sha256(long).hexdigest(),
    )


class Secrets:
    """Seals and opens with the node's key."""

    def __init__(self, key: bytes, ids: Ids) -> None:
        self._key = key
        self._cipher = AESGCM(key)
        self._ids = ids

    @classmethod
    def open(cls, folder: Path) -> "Secrets":
        """Read DATA/secret.key, or make it. Raises CannotStart where it is damaged."""
        path, ids = folder / "secret.key", Ids()
        try:
            if not path.exists():
                _create(path, bytes.fromhex(ids.token(2 * _KEY_BYTES)), ids)
            key = path.read_bytes()
        except OSError as fault:
            raise CannotStart(f"{path} cannot be read or made: {fault.strerror}") from None
        if len(key) != _KEY_BYTES:
            raise CannotStart(f"{path} is damaged: {len(key)} bytes, not {_KEY_BYTES}")
        return cls(key, ids)

    def seal(self, secret: str, belongs_to: str) -> str:
        """Encrypt, bound to what it belongs to: a sealed text is of no use elsewhere."""
        nonce = bytes.fromhex(self._ids.token(2 * _NONCE_BYTES))
        sealed = self._cipher.encrypt(nonce, secret.encode(), belongs_to.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open_sealed(self, sealed: str, belongs_to: str) -> str | None:
        """Decrypt, or return None where the key is another one or the text was changed."""
        try:
            raw = base64.b64decode(sealed)
            opened = self._cipher.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], belongs_to.encode()
            )
        except (InvalidTag, ValueError):
            return None
        return opened.decode()

    def pin(self, account: str, digits: str) -> str:
        """Hash a hotline password under the key: six digits alone are guessed at once."""
        return hmac.digest(self._key, f"pin:{account}:{digits}".encode(), "sha256").hex()


def _create(path: Path, key: bytes, ids: Ids) -> None:
    """Write the key whole or not at all; where another process was first, its key stands."""
    draft = path.with_name(f"{path.name}.{ids.token(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
