"""Everything that reads what comes from outside, each as a function of bytes.

A reader may refuse (BadMessage); anything else that it raises is a bug.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from sipcore.errors import BadMessage
from sipcore.media.fitting import align
from sipcore.media.offer import Author, Said, describe, is_held, read
from sipcore.message.address import name_of, parse_address
from sipcore.message.digest import ALGORITHMS, Nonces, is_right, parse_credentials
from sipcore.message.framing import Framer
from sipcore.message.headers import NAMES
from sipcore.message.message import Message, Request, response_to
from sipcore.message.parse import parse, validate
from sipcore.message.sdp import Media, Sdp, parse_sdp
from sipcore.message.uri import Uri
from sipcore.message.values import parse_cseq, parse_number, parse_params, parse_via, split_commas

Reader = Callable[[bytes], None]
HA1 = "0123456789abcdef0123456789abcdef"
SOURCE, RELAY = "198.51.100.7", "192.0.2.1"
MOST = (1 << 31) - 1
VALUES = (
    Uri.parse, parse_address, parse_params, parse_via, parse_cseq, parse_number, split_commas,
    parse_credentials, name_of,
)  # fmt: skip


def views(kind: type) -> list[str]:
    """Return the names of a class's views: whoever adds one has it read here."""
    return [name for one in kind.__mro__ for name, what in vars(one).items() if _is_view(what)]


def _is_view(what: object) -> bool:
    return isinstance(what, property)


def read_message(data: bytes) -> None:
    """Parse, validate, look at every field in every way, write, and read that again."""
    with suppress(BadMessage):
        message = parse(data)
        look_at(message)
        if isinstance(message, Request):
            response_to(message, 400, "tag").to_bytes()
        validate(message)
        again = parse(message.to_bytes())
        validate(again)
        assert again == message


def look_at(message: Message) -> None:
    """Ask for every view of a message."""
    for name in views(type(message)):
        with suppress(BadMessage):
            getattr(message, name)
    for name in {*NAMES, *message.headers}:
        message.first(name)
        message.values(name)
        message.tokens(name)
        with suppress(BadMessage):
            message.addresses(name)
        with suppress(BadMessage):
            message.number(name, MOST)
    for value in {value for row in message.headers.values() for value in row}:
        read_text(value)


def read_value(data: bytes) -> None:
    """Read bytes as the value of a header field, of every kind. It has no ends of lines."""
    text = data.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ")
    for before in ("", "sip:", "Digest ", "SIP/2.0/UDP "):
        read_text(before + text)


def read_text(text: str) -> None:
    for reader in VALUES:
        with suppress(BadMessage):
            reader(text)
    with suppress(BadMessage):
        uri = Uri.parse(text)
        assert Uri.parse(str(uri)) == uri
        assert uri.is_same(uri)
    with suppress(BadMessage):
        address = parse_address(text)
        assert parse_address(address.to_text()) == address


def read_credentials(data: bytes) -> None:
    """Check credentials: against a password, and their nonce against one of ours."""
    nonces = Nonces(b"key")
    nonce = nonces.make(SOURCE, 1000.0)
    text = data.decode("utf-8", "surrogateescape").replace("NONCE", nonce)
    with suppress(BadMessage):
        credentials = parse_credentials("Digest " + text)
        assert credentials is not None
        nonces.check(credentials, SOURCE, 1001.0)
        if credentials.algorithm in ALGORITHMS:
            assert not is_right(credentials, "INVITE", HA1)


def read_stream(data: bytes) -> None:
    """Cut a stream: whole, and in pieces whose size its first byte says."""
    size = (data[0] if data else 0) + 1
    whole, is_broken = cut([data[1:]])
    pieces, is_broken_too = cut(data[at : at + size] for at in range(1, len(data), size))
    assert is_broken == is_broken_too
    assert pieces[: len(whole)] == whole  # what came before the fault may have been given out


def cut(chunks: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Return the messages of a stream, and whether it broke."""
    framer, found = Framer(), list[bytes]()
    try:
        for chunk in chunks:
            found += framer.feed(chunk)
    except BadMessage:
        return found, True
    return found, False


def read_sdp(data: bytes) -> None:
    """Read a description, and tell it to the other side; as an answer to another one, too."""
    with suppress(BadMessage):
        sdp = parse_sdp(data)
        for one in (sdp, *sdp.media):
            for name in views(type(one)):
                with suppress(BadMessage):
                    getattr(one, name)
        assert parse_sdp(sdp.to_bytes()) == sdp
        said = read(sdp, SOURCE)
        is_held(said.streams)
        _relay(sdp, said)
        with suppress(BadMessage):
            _relay(answer := align(sdp, OFFER), read(answer, SOURCE))


def _relay(sdp: Sdp, said: Said) -> None:
    """Write what went through: it is SDP, and names nobody's address but ours."""
    ports = [40000 if one.is_relayed else 0 for one in said.streams]
    for number in range(len(said.streams) + 1):
        describe(number, number, said, said)
    written = parse_sdp(Author("1", RELAY).write(sdp, said.streams, ports))
    assert [one.port for one in written.media] == ports
    addresses = [written.connection, *map(_connection, written.media)]
    assert {*addresses} <= {RELAY, None}


def _connection(media: Media) -> str | None:
    return media.connection


def _offer() -> Sdp:
    session = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n"
    return parse_sdp(session + b"m=audio 4000 RTP/AVP 8 0 101\r\nm=video 4010 RTP/AVP 97\r\n")


OFFER = _offer()
READERS: dict[str, Reader] = {
    "message": read_message,
    "value": read_value,
    "credentials": read_credentials,
    "stream": read_stream,
    "sdp": read_sdp,
}
