"""The customers that a bench makes up, and the messages that it measures."""

from bench.parse import INVITE, MESSAGES, cases, measure, variants
from bench.provision import Phone, injection, pbx, phones, provisioning
from sipcore.message.parse import parse, validate
from sipcore.message.sdp import parse_sdp
from sipcore.store.check import check_provisioning


def test_what_is_made_up_can_be_imported() -> None:
    assert check_provisioning(provisioning(2, ("127.0.0.21", 25060))) == []
    both = provisioning(2, ("127.0.0.21", 25060)) + pbx("127.0.0.22")
    assert check_provisioning(both) == []


def test_every_phone_is_there_once() -> None:
    mine = phones(3)
    assert len({(one.user, one.domain) for one in mine}) == len(mine) == 3 * 128


def test_credentials_stand_in_the_injection_file_whole() -> None:
    text = injection([Phone("8001", "c0.example", "p")])
    fields = "8001;c0.example;[authentication username=8001 password=p];13800138000"
    assert text == f"SEQUENTIAL\n{fields}\n"


def test_the_measured_messages_are_right() -> None:
    for data in MESSAGES.values():
        validate(parse(data))
    assert len(set(variants(INVITE, 10))) == 10
    assert parse_sdp(parse(INVITE).body).media[0].port == 11780


def test_every_case_runs() -> None:
    assert all(measure(act, batch=1) >= 0 for act in cases().values())
