"""A wrong provisioning file: every mistake, with its line, in plain words."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.rating.tariff import parse_tariff
from sipcore.store.check import check_provisioning
from sipcore.store.sqlite import Store
from tests.store.faults import FAULTS
from tests.store.files import (
    DEMO,
    account,
    acme,
    carrier,
    customer,
    extension,
    line_of,
    number,
    replaced,
)


def test_the_demonstration_is_right() -> None:
    assert check_provisioning(DEMO) == []


def test_an_empty_file_is_right() -> None:
    assert check_provisioning("") == []


def test_what_is_no_toml_is_told_with_its_line() -> None:
    (fault,) = check_provisioning("[[carrier]]\nid = carrier-a\n")
    assert "line 2" in fault


def test_every_mistake_of_a_file_is_told_in_the_order_of_its_lines() -> None:
    text = replaced(
        DEMO,
        ('"sip:127.0.0.10:25080"', '"tel:127"'),
        ('"127.0.0.11/32"', '"127.0.0.10/32"'),
        ('"ext-4"]', '"ext-5"]'),
        ('number = "8002"', 'number = "110"'),
        ('account = "acme-1"\n  device = "soft"', 'account = "acme-9"\n  device = "sofa"'),
        ('domain = "beta.example"', 'domain = "acme.example"'),
        ("deposit = 2000.00", "deposit = -1"),
        ('to = "trunk:beta-pbx"', 'to = "trunk:beta"'),
        ("channels = 2", "channel = 2"),
    )
    assert check_provisioning(text) == [
        f"line {line_of(text, 'tel:127')}:"
        " uri: 'tel:127' is not a SIP URI: sip:HOST:PORT;transport=udp",
        f"line {line_of(text, 'accept_from', 2)}:"
        " accept_from: 127.0.0.10/32 is carrier carrier-a's already",
        f"line {line_of(text, 'ext-5')}: plans: the tariff has no plan ext-5",
        f"line {line_of(text, '110', 2)}: number: 110 is an emergency number",
        f"line {line_of(text, 'acme-9')}: account: customer acme has no account acme-9",
        f"line {line_of(text, 'sofa')}: device: Invalid enum value 'sofa'",
        f"line {line_of(text, 'acme.example', 2)}: domain: acme.example is customer acme's already",
        f"line {line_of(text, 'deposit = -1')}: deposit: is below zero",
        f"line {line_of(text, 'trunk:beta')}: to: customer beta has no trunk beta",
        f"line {line_of(text, '[[customer.trunk]]')}: missing key `channels`",
        f"line {line_of(text, 'channel = 2')}: unknown key `channel`",
    ]


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_mistake_is_told_with_its_line(text: str, fault: str) -> None:
    assert check_provisioning(text) == [f"line {line_of(text, '#HERE')}: {fault}"]


@pytest.mark.parametrize(
    "text",
    [
        carrier("a", "accept_from = ['10.0.0.0/8', '10.0.0.1:5060', '[::1]:5060', '::/0']\n"),
        carrier("a", "register = { user = 'u', password = 'p', expires = 60 }\n"),
        "[[carrier]]\nid = 'a'\nuri = 'sips:gw@[2001:db8::1]:5061;transport=TLS;lr'\nchannels=1\n",
        acme(number("36413501", "acme-1", "hotline")),
        customer("acme", account("a", more="payment = 'postpaid'\ncredit_limit = 1000.00\n")),
        customer("acme", account("a", more="options = ['ringback']\nclosed = 2026-12-01\n")),
        # The same extension and trunk user names under two customers are two identities.
        acme(extension("8001", "acme-1"))
        + customer("beta", account("beta-1"), extension("8001", "beta-1")),
    ],
)
def test_a_right_file_has_no_fault(text: str) -> None:
    assert check_provisioning(text) == []


def test_what_names_a_faulty_row_is_not_blamed_again() -> None:
    text = customer(
        "acme",
        account("acme-1", '"pbx-9-99"'),
        number("36413501", "acme-1", "8001"),
        "[[customer.extension]]\nnumber = '8001'\npassword = ''\naccount = 'acme-1'\n",
        "[[customer.number]]\nnumber = '36413502'\naccount = 'acme-1'\nto = 'moon'\n",
        extension("8002", "acme-1", more="display_number = '36413502'\n"),
    )
    assert [fault.partition(": ")[2] for fault in check_provisioning(text)] == [
        "plans: the tariff has no plan pbx-9-99",
        "password: is empty",
        "to: 'moon' is neither an extension nor group:, ivr:, queue:, trunk:ID or hotline",
    ]


def test_what_a_fault_quotes_of_the_file_commands_no_terminal() -> None:
    (fault,) = check_provisioning(customer("acme", account("acme-1", r'"a\u0000\u001b[2J"')))
    assert fault == r"line 8: plans: the tariff has no plan a\x00\x1b[2J"


def test_a_prepayment_that_the_tariff_does_not_offer() -> None:
    tariff = parse_tariff(
        'version = "1"\nfrom = 2026-01-01\n[term]\nprepay = ["half-year"]\n'
        '[[plan]]\nid = "a39"\nname = "A"\nkind = "line"\nrent = 39\n'
    )
    faults = check_provisioning(customer("acme", account("a", '"a39"')), tariff=tariff)
    assert faults == ["line 6: prepay: monthly is not offered"]


ASSIGNMENT = re.compile(r"^(\s*[a-z_]+ = )([^\n#]+)", re.MULTILINE)
LITERALS = [
    "0", "-1", "1.5", "1e999999999", "nan", "true", '""', '"x"', '"8001"', '"110"', '"acme-1"',
    '"02136413501"', '"127.0.0.10/32"', '"trunk:beta-pbx"', "[]", "[[]]", '["a39"]', '["\\u0000"]',
    "{}", '{ id = "x" }', '[{ id = "ringback" }]', "2026-11-22", "1979-05-27T07:32:00Z", "'''\n'''",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_written_the_faults_are_told_and_nothing_raises(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A fault stands on a line of the file, none is told twice; and without one it is imported."""
    spots = list(ASSIGNMENT.finditer(DEMO))
    text, shift = DEMO, 0
    picks = data.draw(st.lists(st.integers(0, len(spots) - 1), max_size=4, unique=True))
    for pick in sorted(picks):
        spot = spots[pick]
        literal = data.draw(st.sampled_from(LITERALS))
        what = data.draw(st.sampled_from(["value", "key", "line"]))
        new = {"value": spot[1] + literal, "key": f"x{spot[1].strip()} {spot[2]}", "line": ""}[what]
        text = text[: spot.start() + shift] + new + text[spot.end() + shift :]
        shift += len(new) - len(spot[0])
    faults = check_provisioning(text)
    assert len(set(faults)) == len(faults)
    for fault in faults:
        line, _, reason = fault.removeprefix("line ").partition(": ")
        if line.isdigit():  # else tomllib's own words
            assert 1 <= int(line) <= text.count("\n") + 1
            assert reason
            assert "\0" not in reason
    if not faults:
        store = Store.open(tmp_path_factory.mktemp("data"))
        store.import_provisioning(text)
        assert store.import_provisioning(text).unchanged
        store.load_book()
        store.close()
