"""Passwords in an import: hashed or sealed, and asked for again where that makes them void."""

import hashlib
from pathlib import Path

import pytest

from sipcore.errors import BadConfig
from sipcore.store.rows import Site
from sipcore.store.sqlite import Store
from tests.store.files import DEMO, account, acme, carrier, customer, extension, trunk


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_passwords_are_hashed_for_both_user_forms(store: Store) -> None:
    store.import_provisioning(acme(extension("8001", "acme-1", "sesame")))
    identity = store.load_book().identity("8001", "acme.example")
    assert identity is not None
    assert identity.ha1("MD5", "8001") == md5("8001:sipcore:sesame")
    long = "8001@acme.example:sipcore:sesame"
    assert identity.ha1("MD5", "8001@acme.example") == md5(long)
    assert identity.ha1("SHA-256", "8001@acme.example") == hashlib.sha256(long.encode()).hexdigest()


def test_no_secret_is_in_the_data_folder(store: Store, tmp_path: Path) -> None:
    text = (
        customer(
            "acme",
            account("acme-1", more='hotline_password = "90909090"\n'),
            extension("8001", "acme-1", "sesame-phone"),
            trunk("pbx", "acme-1", "user = 'pbx'\npassword = 'sesame-pbx'\n"),
        )
        + carrier("c", "register = { user = 'u', password = 'sesame-carrier' }\n")
    )  # fmt: skip
    store.import_provisioning(text)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    for secret in (b"sesame", b"90909090"):
        assert secret not in kept


def test_a_carriers_password_can_be_shown_to_it(store: Store, tmp_path: Path) -> None:
    text = carrier("c", "register = { user = 'u', password = 'sesame', expires = 300 }\n")
    store.import_provisioning(text + DEMO)
    book = store.load_book()
    asked = book.carriers["c"].registration
    assert asked is not None
    assert (asked.user, asked.domain, asked.expires_s) == ("u", "192.0.2.9", 300)
    wish = book.carriers["c"].registration
    assert wish is not None
    assert store.open_secret(wish.secret, "c") == "sesame"
    assert store.open_secret(wish.secret, "d") is None
    assert store.import_provisioning(text.replace("sesame", "simsim")).changed == 1
    wish = store.load_book().carriers["c"].registration
    assert wish is not None
    assert store.open_secret(wish.secret, "c") == "simsim"
    assert store.import_provisioning(carrier("c")).changed == 1
    assert store.load_book().carriers["c"].registration is None


def test_a_new_password_is_a_change_of_its_extension(store: Store) -> None:
    store.import_provisioning(acme(extension("8001", "acme-1", "old")))
    report = store.import_provisioning(acme(extension("8001", "acme-1", "new")))
    assert (report.changed, report.unchanged) == (1, 2)
    identity = store.load_book().identity("8001", "acme.example")
    assert identity is not None
    assert identity.ha1("MD5", "8001") == md5("8001:sipcore:new")


def test_a_new_domain_needs_the_passwords_again(store: Store) -> None:
    store.import_provisioning(acme(extension("8001", "acme-1"), extension("8002", "acme-1")))
    text = acme(extension("8001", "acme-1")).replace("acme.example", "acme.test")
    with pytest.raises(BadConfig) as caught:
        store.import_provisioning(text)
    assert caught.value.faults == [
        "line 4: domain: was acme.example; give the passwords of 1 users again (8002)"
    ]
    store.import_provisioning(text + extension("8002", "acme-1"))
    assert store.load_book().identity("8002@acme.test", None) is not None


def test_another_realm_makes_stored_passwords_void(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(tmp_path)
    store.import_provisioning(DEMO)
    store.close()
    other = Store.open(tmp_path, Site(realm="other"))
    assert other.load_book().identity("8001", "acme.example") is None
    assert "passwords-void count=4 realm=other" in caplog.text
    assert other.import_provisioning(DEMO).changed == 4
    assert other.load_book().identity("8001", "acme.example") is not None
    other.close()
