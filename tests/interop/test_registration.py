"""Devices sign in: SIPp with MD5, and SHA-256 by the book (RFC 8760), which SIPp cannot."""

import hashlib
import re
import socket

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node, Settings
from tests.interop.ports import HOST
from tests.interop.town import DESK, MOBILE_PBX, SAFE, Account

REALM = "sipcore"


@pytest.fixture
def settings() -> Settings:
    return Settings(digest=("MD5", "SHA-256"))


def test_a_phone_registers_with_md5(node: Node, devices: Devices) -> None:
    port = devices.register(DESK)
    [binding] = node.show("bindings")
    assert (binding["customer"], binding["user"]) == ("acme", "8001")
    assert binding["contact"] == f"sip:8001@{HOST}:{port}"
    assert 590 <= binding["expires_s"] <= 600
    assert binding["user_agent"] == "SIPp"


def test_a_pbx_registers(node: Node, devices: Devices) -> None:
    devices.register(MOBILE_PBX)
    [binding] = node.show("bindings")
    assert (binding["customer"], binding["user"]) == ("beta", "beta-mobile")


def test_a_wrong_password_is_not_let_in(node: Node) -> None:
    with Phone(node.sip, DESK._replace(password="wrong")) as phone:
        assert status_of(phone.register("MD5")) == 401
    assert node.show("bindings") == []


def test_challenges_come_in_the_order_of_the_node_or_of_the_device(node: Node) -> None:
    with Phone(node.sip, DESK) as desk, Phone(node.sip, SAFE) as safe:
        assert algorithms(desk.ask(1)) == ["MD5", "SHA-256"]
        assert algorithms(safe.ask(1)) == ["SHA-256", "MD5"]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_phone_registers_with_either_algorithm(node: Node, algorithm: str) -> None:
    with Phone(node.sip, SAFE) as phone:
        assert status_of(phone.register(algorithm)) == 200
    [binding] = node.show("bindings")
    assert binding["user"] == SAFE.user


class Phone:
    """A device that signs in by RFC 7616 section 3.4, written from there and not from sipcore."""

    def __init__(self, node: int, account: Account) -> None:
        self._account = account
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(5)
        self._socket.connect((HOST, node))
        self._port = self._socket.getsockname()[1]

    def __enter__(self) -> "Phone":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def register(self, algorithm: str) -> str:
        """Register; return the final response."""
        challenges = re.findall(r"WWW-Authenticate: Digest (.*)\r", self.ask(1))
        [challenge] = [one for one in challenges if f"algorithm={algorithm}," in f"{one},"]
        found = re.search(r'nonce="([^"]*)"', challenge)
        assert found is not None
        return self.ask(2, self._credentials(algorithm, found[1]))

    def _credentials(self, algorithm: str, nonce: str) -> str:
        def hashed(text: str) -> str:
            name = "md5" if algorithm == "MD5" else "sha256"
            return hashlib.new(name, text.encode()).hexdigest()

        user, password, domain = self._account
        uri = f"sip:{domain}"
        ha1 = hashed(f"{user}:{REALM}:{password}")
        ha2 = hashed(f"REGISTER:{uri}")
        answer = hashed(f"{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}")
        return (
            f'Authorization: Digest username="{user}", realm="{REALM}", nonce="{nonce}", '
            f'uri="{uri}", response="{answer}", algorithm={algorithm}, qop=auth, '
            'nc=00000001, cnonce="c0ffee"\r\n'
        )

    def ask(self, number: int, credentials: str = "") -> str:
        """Send a REGISTER; return what comes back."""
        user, _, domain = self._account
        self._socket.send(
            f"REGISTER sip:{domain} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {HOST}:{self._port};branch=z9hG4bK{self._port}{number}\r\n"
            f"From: <sip:{user}@{domain}>;tag=t\r\nTo: <sip:{user}@{domain}>\r\n"
            f"Max-Forwards: 70\r\nCall-ID: {self._port}\r\nCSeq: {number} REGISTER\r\n"
            f"Contact: <sip:{user}@{HOST}:{self._port}>\r\nExpires: 600\r\n"
            f"{credentials}Content-Length: 0\r\n\r\n".encode()
        )
        return self._socket.recv(65536).decode()


def status_of(response: str) -> int:
    return int(response.split(" ", 2)[1])


def algorithms(response: str) -> list[str]:
    """Return the algorithms of the challenges, in order."""
    return re.findall(r"WWW-Authenticate: Digest .*algorithm=([A-Z0-9-]+)", response)
