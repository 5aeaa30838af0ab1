"""What SIP messages and their parts may look like, for hypothesis."""

from hypothesis import strategies as st

from sipcore.message.address import Address
from sipcore.message.headers import NAMES
from sipcore.message.message import Headers, Request, Response
from sipcore.message.uri import Uri
from sipcore.message.values import CSeq, Params, Via

ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
TOKEN_CHARS = ALNUM + ".!%*_+`'~-"
LABEL = st.text(ALNUM, min_size=1, max_size=8)

tokens = st.text(TOKEN_CHARS, min_size=1, max_size=12)
methods = st.one_of(st.sampled_from(["INVITE", "ACK", "BYE", "REGISTER", "OPTIONS"]), tokens)
hosts = st.one_of(
    st.lists(LABEL, min_size=1, max_size=3).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
ports = st.one_of(st.none(), st.integers(1, 65535))

# Anything that a line may hold: no control characters, no unpaired surrogates.
lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
words = lines.filter(bool)
# Bytes of another encoding than UTF-8, as they look in a decoded head.
foreign = st.binary(min_size=1, max_size=8).map(
    lambda raw: bytes(byte | 0x80 for byte in raw).decode("utf-8", "surrogateescape")
)
param_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~", min_size=1, max_size=8)

params: st.SearchStrategy[Params] = st.dictionaries(
    param_names, st.one_of(st.none(), tokens, lines), max_size=4
)
uri_params: st.SearchStrategy[Params] = st.dictionaries(
    words.map(str.lower).filter(lambda name: name == name.lower()),
    st.one_of(st.none(), words),
    max_size=3,
)
sip_uris = st.builds(
    Uri,
    scheme=st.sampled_from(["sip", "sips"]),
    user=st.one_of(st.none(), words),
    host=hosts,
    port=ports,
    params=uri_params,
    headers=st.one_of(st.none(), st.text(ALNUM + "=&%-", max_size=10)),
)
tel_uris = st.builds(
    Uri,
    scheme=st.just("tel"),
    user=st.from_regex(r"\+?[0-9*#().-]{1,15}", fullmatch=True),
    params=uri_params,
)
other_uris = st.builds(
    Uri,
    scheme=st.sampled_from(["urn", "isbn", "soap.beep", "http"]),
    opaque=st.text(ALNUM + "/:?;=", min_size=1, max_size=12),
)
uris = st.one_of(sip_uris, tel_uris, other_uris)
addresses = st.builds(Address, uri=uris, display=st.one_of(lines, foreign), params=params)
vias = st.builds(
    lambda transport, host, port, params: Via(
        transport, host, port, params, f"{host.lower()}:{port or 5060}"
    ),
    transport=st.sampled_from(["UDP", "TCP", "TLS", "WS"]),
    host=hosts,
    port=ports,
    params=params,
)
cseqs = st.builds(CSeq, number=st.integers(0, (1 << 31) - 1), method=methods)

_COUNTED = ("Content-Length", "CSeq", "Via", "From", "To", "Call-ID", "Max-Forwards")
_LISTED = ("Contact", "Record-Route")  # that validate reads
_FREE = tuple(name for name in NAMES if name not in _COUNTED + _LISTED)
SINGLE = ("Content-Type", "Expires", "Event", "Min-Expires", "Min-SE", "Session-Expires", "RAck",
          "RSeq", "Refer-To")  # fmt: skip

values = st.one_of(lines, foreign).map(lambda text: text.strip(" \t"))


@st.composite
def headers(draw: st.DrawFn, method: str) -> Headers:
    """Draw what every message has, and some more."""
    from_ = Address(draw(sip_uris), draw(lines), {"tag": draw(tokens)})
    to = Address(draw(sip_uris), draw(lines))
    found: Headers = {
        "Via": [via.to_text() for via in draw(st.lists(vias, min_size=1, max_size=3))],
        "From": [from_.to_text()],
        "To": [to.to_text()],
        "Call-ID": [draw(tokens)],
        "CSeq": [f"{draw(st.integers(0, (1 << 31) - 1))} {method}"],
    }
    contacts = draw(st.lists(addresses, max_size=2))
    if contacts:
        found["Contact"] = [contact.to_text() for contact in contacts]
    for name in draw(st.lists(st.sampled_from(_FREE), max_size=4, unique=True)):
        most = 1 if name in SINGLE else 2
        found[name] = draw(st.lists(values, min_size=1, max_size=most))
    return found


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw a valid request."""
    method = draw(methods)
    uri = draw(sip_uris)
    plain = Uri(uri.scheme, uri.user, None, uri.host, uri.port, uri.params)
    return Request(method, str(plain), draw(headers(method)), draw(st.binary(max_size=40)))


@st.composite
def responses(draw: st.DrawFn) -> Response:
    """Draw a valid response."""
    reason = draw(lines).strip()
    return Response(
        draw(st.integers(100, 699)),
        draw(headers(draw(methods))),
        draw(st.binary(max_size=40)),
        reason,
    )


messages = st.one_of(requests(), responses())
