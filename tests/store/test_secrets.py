"""Secrets at rest: the key file, sealed texts, hashed PINs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from sipcore.errors import CannotStart
from sipcore.store.secrets import Secrets, ha1s


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    sealed = Secrets.open(tmp_path).seal("sesame", "carrier-a")
    key = tmp_path / "secret.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]
    assert Secrets.open(tmp_path).open_sealed(sealed, "carrier-a") == "sesame"


def test_a_sealed_text_opens_only_where_it_belongs(tmp_path: Path) -> None:
    secrets = Secrets.open(tmp_path)
    sealed = secrets.seal("sesame", "carrier-a")
    assert sealed != secrets.seal("sesame", "carrier-a")
    assert secrets.open_sealed(sealed, "carrier-b") is None
    other = tmp_path / "other"
    other.mkdir()
    assert Secrets.open(other).open_sealed(sealed, "carrier-a") is None
    assert secrets.open_sealed("", "carrier-a") is None
    assert secrets.open_sealed("AAAA", "carrier-a") is None


def test_a_pin_is_hashed_under_the_key_and_its_account(tmp_path: Path) -> None:
    secrets = Secrets.open(tmp_path)
    assert secrets.pin("a", "246810") == secrets.pin("a", "246810")
    assert secrets.pin("a", "246810") != secrets.pin("b", "246810")
    assert "246810" not in secrets.pin("a", "246810")


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_refused_with_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(CannotStart, match=f"is damaged: {len(content)} bytes, not 32"):
        Secrets.open(tmp_path)


def test_a_key_that_cannot_be_made_is_refused_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be read or made"):
        Secrets.open(tmp_path / "nowhere")


def test_of_all_who_make_a_key_at_once_the_first_ones_stands(tmp_path: Path) -> None:
    together = Barrier(8)

    def pin(_: int) -> str:
        together.wait()
        return Secrets.open(tmp_path).pin("a", "1")

    with ThreadPoolExecutor(8) as all_of_them:
        assert len(set(all_of_them.map(pin, range(8)))) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_hashes_are_those_of_rfc_7616() -> None:
    """RFC 7616 3.9.1 prints no HA1; these follow from its user, realm and password by openssl."""
    hashes = ha1s("Mufasa", "example.org", "http-auth@example.org", "Circle of Life")
    assert hashes.md5 == "3d78807defe7de2157e2b0b6573a855f"
    assert hashes.sha256 == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
