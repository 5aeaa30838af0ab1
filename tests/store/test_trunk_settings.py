"""Settings of carriers and trunks: stored as they were said, checked, and all of them explained."""

import re
from pathlib import Path

import msgspec
import pytest

from sipcore.numbering import Style
from sipcore.policy.profile import USUAL, Profile
from sipcore.policy.standing import Limits
from sipcore.store.forms import CarrierForm, TrunkForm
from sipcore.store.sqlite import Store
from tests.store.files import DEMO, carrier, replaced

PAGE = (Path(__file__).parents[2] / "docs" / "trunks.md").read_text("utf-8")
ROWS = {name: (default, row) for name, default, row in re.findall(
    r"^\| `(\w+)` \| ([^|]+) \|(.+)\|$", PAGE, re.MULTILINE
)}  # fmt: skip
BESIDE = ("health", "tls_names", "over_mtu", "login")


def settings() -> dict[str, object]:
    """Return every setting that the tables must have, with its default."""
    found = {
        field.name: field.default
        for kind in (Profile, Limits)
        for field in msgspec.structs.fields(kind)
    }
    for field in msgspec.structs.fields(CarrierForm):
        if field.name in BESIDE:
            found[field.name] = field.default
    return found


def written(default: object) -> str:
    """Write a default as the tables do."""
    return "none" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def test_the_tables_have_every_setting_with_its_default_and_no_other() -> None:
    known = settings()
    found = {name: one[0].replace(", ", ",") for name, one in ROWS.items() if name in known}
    assert found == {name: written(default) for name, default in known.items()}
    states = {"down", "unregistered", "demoted", "trial"}
    assert ROWS.keys() - known.keys() == states


def test_every_setting_is_explained_in_chinese() -> None:
    chinese = re.findall(r"^- `(\w+)`：.{8,}。$", PAGE.partition("## 中文")[2], re.MULTILINE)
    assert sorted(chinese) == sorted(settings())


def test_a_carrier_and_a_trunk_have_the_same_settings_but_demotion() -> None:
    of = {
        kind: {one.name for one in msgspec.structs.fields(kind)}
        for kind in (CarrierForm, TrunkForm)
    }
    shared = {"profile", *BESIDE}
    assert shared <= of[CarrierForm] & of[TrunkForm]


def test_settings_are_stored_as_they_were_said(store: Store) -> None:
    text = replaced(
        DEMO,
        (
            "priority = 1 ",
            'health = 60\ntls_names = ["SBC.Carrier.example."]\n'
            'login = { user = "u", password = "p" }\n'
            'profile = { numbers = "local", area = "010", codecs = ["PCMA"] }\n'
            "demote = { calls = 50 }\npriority = 1 ",
        ),
        (
            'user = "beta-pbx"',
            'health = true\n  tls_names = ["pbx.beta.example"]\n  profile = { user_phone = true }\n'
            '  login = { user = "us", password = "theirs" }\n  user = "beta-pbx"',
        ),
    )
    store.import_provisioning(text)
    assert store.import_provisioning(text).changed == 0
    book = store.load_book()
    one, pbx = book.carriers["carrier-a"], book.trunks["beta-pbx"]
    assert one.profile == Profile(numbers=Style.LOCAL, area="010", codecs=("PCMA",))
    assert (one.health_s, pbx.health_s, one.demote) == (60, 30, Limits(calls=50))
    assert book.carriers["carrier-b"].profile is USUAL
    assert pbx.profile == Profile(user_phone=True)
    assert book.peer_by_name("sbc.CARRIER.example") == one
    assert book.peer_by_name("pbx.beta.example") == pbx
    assert book.peer_by_name("example") is None
    assert one.login is not None
    assert pbx.login is not None
    assert store.open_secret(one.login.secret, "carrier-a") == "p"
    assert store.open_secret(pbx.login.secret, "beta-pbx") == "theirs"
    assert "theirs" not in repr(pbx)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("profile = { numbers = 'x' }", "Invalid enum value 'x'"),
        ("profile = { nonsense = 1 }", "unknown field `nonsense`"),
        ("profile = { codecs = ['G 729'] }", "'G 729' is not a codec's name"),
        ("profile = { codecs = ['A', 'A'] }", "codecs: one stands twice"),
        ("profile = { caller_in = [] }", "caller_in: names no header"),
        ("profile = { caller_in = ['P-Asserted-Identity'] }", "without From in caller_in"),
        ("profile = { from_domain = '-' }", "from_domain: '-' is neither"),
        ("profile = { area = 'x' }", "area"),
        ("health = 1", "health"),
        ("demote = { failed = 101 }", "failed"),
        ("tls_names = ['192.0.2.1']", "192.0.2.1 is an address"),
        ("login = { user = 'u', password = '' }", "password is empty"),
    ],
)
def test_a_wrong_setting_is_told_with_its_line(store: Store, line: str, fault: str) -> None:
    (found,) = store.check(carrier("a", f"{line}\n"))
    assert found.startswith("line 5: ")
    assert fault in found


def test_a_tls_name_belongs_to_one_peer(store: Store) -> None:
    names = "tls_names = ['sbc.example']\n"
    (found,) = store.check(carrier("a", names) + carrier("b", names))
    assert "tls_names: sbc.example is carrier a's already" in found
