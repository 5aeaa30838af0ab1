"""The configuration: defaults, refusals with their places, contradictions."""

from pathlib import Path

import pytest

from sipcore.config import Config, Limits, Listen, Media, parse_config, read_config
from sipcore.errors import BadConfig

DEPLOY = Path(__file__).parents[1] / "deploy"


def faults(text: str) -> list[str]:
    with pytest.raises(BadConfig) as fault:
        parse_config(text)
    assert str(fault.value) == "\n".join(fault.value.faults)
    return fault.value.faults


def test_with_no_file_and_with_an_empty_one_the_default_holds() -> None:
    assert read_config(None) == parse_config("") == Config()


def test_the_example_says_what_the_default_is() -> None:
    assert read_config(DEPLOY / "sipcore.toml") == Config()


def test_the_example_names_every_key() -> None:
    text = (DEPLOY / "sipcore.toml").read_text("utf-8")
    for section in Config.__struct_fields__:
        assert f"[{section}]" in text
        for part in (getattr(Config(), section), Listen()):
            for key in getattr(part, "__struct_fields__", ()):
                assert f"{key} = " in text, (section, key)


def test_values_take_the_place_of_defaults() -> None:
    config = parse_config(
        '[node]\nname = "n2"\narea = "10"\n[sip]\ndigest = ["SHA-256", "MD5"]\n'
        '[[listen]]\ntransport = "tcp"\naddress = "::"\nport = 5070\nadvertise = "sip.example"\n'
        "[media]\nports = [20000, 29999]\n[limits]\ncalls = 100\ndrain_s = 0\n"
    )
    assert (config.node.name, config.node.area) == ("n2", "10")
    assert config.sip.digest == ("SHA-256", "MD5")
    assert config.listen == (Listen("tcp", "::", 5070, "sip.example"),)
    assert config.media == Media(ports=(20000, 29999))
    assert config.limits == Limits(calls=100, drain_s=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\nnmae = 'x'", "Object contains unknown field `nmae` - at `$.node`"),
        ("[nodes]", "Object contains unknown field `nodes`"),
        ("[node]\nname = ''", "Expected `str` of length >= 1 - at `$.node.name`"),
        ("[node]\nname = 7", "Expected `str`, got `int` - at `$.node.name`"),
        (
            "[sip]\nlocal_networks = ['10.0.0.0/8', '10.0.0.1/8']",
            "'10.0.0.1/8' is no network like 10.0.0.0/8 - at `$.sip.local_networks`",
        ),
        (
            "[node]\ncountry = '+86'",
            "Expected `str` matching regex '^[0-9]{1,3}$' - at `$.node.country`",
        ),
        (
            "[node]\nhotline = '1'",
            "Expected `str` matching regex '^[0-9]{3,15}$' - at `$.node.hotline`",
        ),
        ("[node]\nlanguage = 'fr'", "Invalid enum value 'fr' - at `$.node.language`"),
        (
            "[[listen]]\ntransport = 'dtls'",
            "Invalid enum value 'dtls' - at `$.listen[0].transport`",
        ),
        ("[[listen]]\nport = 0", "Expected `int` >= 1 - at `$.listen[0].port`"),
        ("[[listen]]\nport = 65536", "Expected `int` <= 65535 - at `$.listen[0].port`"),
        ("[sip]\ndigest = ['MD4']", "Invalid enum value 'MD4' - at `$.sip.digest[0]`"),
        (
            "[sip]\nservice_route = ['edge']",
            r"Expected `str` matching regex '^<sips?:[^<>\\s,]+>$' - at `$.sip.service_route[0]`",
        ),
        ("[media]\nports = [1]", "Expected `array` of length 2, got 1 - at `$.media.ports`"),
        ("[media]\nwire = 'uring'", "Invalid enum value 'uring' - at `$.media.wire`"),
        ("[media]\nworkers = 0", "Expected `int` >= 1 - at `$.media.workers`"),
        ("[store]\nurl = 'mysql'", "Invalid enum value 'mysql' - at `$.store.url`"),
        ("[limits]\ndrain_s = -1", "Expected `int` >= 0 - at `$.limits.drain_s`"),
        ("[limits]\ncalls = 1.5", "Expected `int`, got `float` - at `$.limits.calls`"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(text: str, said: str) -> None:
    assert faults(text) == [said]


def test_text_that_is_no_toml_is_refused_with_its_line() -> None:
    (said,) = faults("[node]\nname =\n")
    assert "line 2" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[media]\nports = [20000, 10000]",
         "media.ports: first 20000 is not below last 10000 - at `$.media.ports`"),
        ("[media]\nports = [20000, 20000]",
         "media.ports: first 20000 is not below last 20000 - at `$.media.ports`"),
        ("[limits]\ncalls = 2084",
         "limits.calls = 2084 needs 10003 media ports (4 a call and a fifth in quarantine),"
         " media.ports has 10000 - at `$.media.ports`"),
        ("[media]\njitter_ms = [121, 120]",
         "media.jitter_ms: least is above greatest - at `$.media.jitter_ms`"),
        ("listen = []", "no address to listen on - at `$.listen`"),
        ("[sip]\ndigest = []", "no digest algorithm - at `$.sip.digest`"),
        ("[[listen]]\nport = 5070\n[[listen]]\nport = 5070",
         "udp 127.0.0.1:5070 stands twice - at `$.listen`"),
        ("[[listen]]\ntransport = 'tls'\ncertificate = 'cert.pem'",
         "tls needs a certificate and its key - at `$.listen[0]`"),
        ("[[listen]]\n[[listen]]\ntransport = 'tcp'\nkey = 'key.pem'",
         "tcp has no use for certificates - at `$.listen[1]`"),
        ("[[listen]]\norigins = ['https://phone.example']",
         "origins are of ws and wss, not of udp - at `$.listen[0]`"),
        ('[media]\naddress6 = "192.0.2.1"',
         "media.address6: an IPv6 address of this machine's own, beside an IPv4 address in"
         " media.address, not 192.0.2.1 - at `$.media.address6`"),
        ('[media]\naddress = "0.0.0.0"',
         "media.address: phones are told this address, so it must be one of this machine's own, not"
         " 0.0.0.0 - at `$.media.address`"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_with_its_reason(text: str, said: str) -> None:
    assert faults(text) == [said]


def test_a_tls_address_has_its_certificates_in_order() -> None:
    (one,) = parse_config(
        "[[listen]]\ntransport = 'tls'\ncertificate = 'a.pem'\nkey = 'a.key'\n"
        "certificates = [{certificate = 'b.pem', key = 'b.key'}]\nclient_ca = 'ca.pem'\n"
    ).listen
    assert one.pairs == [("a.pem", "a.key"), ("b.pem", "b.key")]
    assert one.is_secure


def test_the_most_calls_that_the_ports_allow_are_allowed() -> None:
    assert parse_config("[limits]\ncalls = 2083").limits.calls == 2083


def test_the_same_port_of_another_transport_or_address_is_no_contradiction() -> None:
    text = "".join(
        f'[[listen]]\ntransport = "{transport}"\naddress = "{address}"\n'
        for transport in ("udp", "tcp")
        for address in ("127.0.0.1", "::1")
    )
    assert len(parse_config(text).listen) == 4


def test_all_contradictions_are_told_at_once() -> None:
    assert len(faults("listen = []\n[sip]\ndigest = []\n[media]\njitter_ms = [9, 8]")) == 3


def test_a_file_that_cannot_be_read_is_a_bad_configuration(tmp_path: Path) -> None:
    foreign = tmp_path / "gbk.toml"
    foreign.write_bytes("[node]\nname = '总机'".encode("gb18030"))
    for path in (tmp_path / "none.toml", tmp_path, foreign):
        with pytest.raises(BadConfig, match="cannot be read"):
            read_config(path)
