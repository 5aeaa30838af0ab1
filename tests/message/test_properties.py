"""Whatever is written is read as it was; whatever comes is read or refused, never a surprise."""

import contextlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipcore.errors import BadMessage
from sipcore.message.address import Address, parse_address
from sipcore.message.digest import parse_credentials
from sipcore.message.framing import PING, Framer
from sipcore.message.message import Message, Request
from sipcore.message.parse import parse, validate
from sipcore.message.uri import Uri
from sipcore.message.values import (
    CSeq,
    Params,
    Via,
    format_params,
    parse_cseq,
    parse_params,
    parse_via,
    split_commas,
)
from tests.fuzz.readers import cut
from tests.message import strategies as sip
from tests.message.mutants import mutants

SOME = settings(deadline=None, max_examples=60, derandomize=True)
MANY = settings(SOME, max_examples=300)


@SOME
@given(sip.messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    again = parse(message.to_bytes())
    validate(again)
    assert type(again) is type(message)
    assert again == message
    assert again.to_bytes() == message.to_bytes()


@SOME
@given(sip.uris)
def test_a_uri_is_read_as_it_was_written(uri: Uri) -> None:
    assert Uri.parse(str(uri)) == uri


@SOME
@given(sip.addresses)
def test_an_address_is_read_as_it_was_written(address: Address) -> None:
    assert parse_address(address.to_text()) == address


@SOME
@given(sip.vias)
def test_a_via_is_read_as_it_was_written(via: Via) -> None:
    assert parse_via(via.to_text()) == via


@SOME
@given(sip.params)
def test_parameters_are_read_as_they_were_written(params: Params) -> None:
    assert parse_params(format_params(params)) == params


@SOME
@given(sip.cseqs)
def test_a_cseq_is_read_as_it_was_written(cseq: CSeq) -> None:
    assert parse_cseq(f"{cseq.number} {cseq.method}") == cseq


@SOME
@given(st.lists(sip.addresses, min_size=1, max_size=4))
def test_addresses_on_one_line_are_told_apart(addresses: list[Address]) -> None:
    texts = [address.to_text() for address in addresses]
    assert split_commas(", ".join(texts)) == texts


@SOME
@given(st.text('sipteltlurn:;@?=%&<>"\\[]., \t0aé\udc80\u212a\u017f', max_size=30))
@example("ſip:a@b")  # 'ſ' is an 's' to a regular expression that ignores case
@example("sip:%E4\udcbd\udca0@b")
def test_any_text_is_a_uri_for_good_or_is_refused(text: str) -> None:
    try:
        uri = Uri.parse(text)
    except BadMessage:
        return
    assert Uri.parse(str(uri)) == uri


@SOME
@given(st.text('sip:;@?=%<>"\\[]., \t0aé\udc80', max_size=30))
def test_any_text_is_an_address_for_good_or_is_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except BadMessage:
        return
    assert parse_address(address.to_text()) == address


@SOME
@given(st.text('Digest username="\\=,auth-int0 \t\udc80', max_size=40).map("Digest ".__add__))
def test_any_credentials_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadMessage):
        assert parse_credentials(text) is not None


def _read(data: bytes) -> Message | None:
    """Read bytes and every view of them, or find them refused."""
    try:
        message = parse(data)
        validate(message)
        views = (message.via, message.from_, message.to, message.cseq, message.contact)
        assert all(view is not None for view in views[:4])
        for name in ("Contact", "Route", "P-Asserted-Identity"):
            message.addresses(name)
        message.tokens("Require")
    except BadMessage:
        return None
    assert message.content_type == message.content_type.lower()
    return message


@SOME
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    _read(data)
    _read(b"OPTIONS sip:a@b SIP/2.0\r\n" + data + b"\r\n\r\n")


@MANY
@given(mutants())
def test_a_mutilated_message_is_read_or_refused(data: bytes) -> None:
    message = _read(data)
    if message is not None:
        again = parse(message.to_bytes())
        validate(again)
        assert again == message


@SOME
@given(st.lists(st.one_of(sip.messages, st.just(None)), max_size=4), st.data())
def test_a_stream_is_cut_into_the_messages_that_were_put_in(
    put_in: list[Message | None], data: st.DataObject
) -> None:
    parts = [PING if one is None else one.to_bytes() for one in put_in]
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert cut(chunks) == (parts, False)
    assert cut([stream[at : at + 1] for at in range(len(stream))]) == (parts, False)


@SOME
@given(mutants())
def test_a_mutilated_stream_is_cut_alike_whole_and_byte_by_byte(data: bytes) -> None:
    whole, is_broken = cut([data])
    single, is_broken_too = cut([data[at : at + 1] for at in range(len(data))])
    assert is_broken == is_broken_too
    assert single[: len(whole)] == whole  # what came before the fault may have been given out


@SOME
@given(sip.requests())
def test_a_stream_and_a_datagram_say_the_same(request: Request) -> None:
    (message,) = Framer().feed(request.to_bytes())
    assert parse(message) == parse(request.to_bytes()) == request
