"""Messages that something has happened to, for hypothesis."""

from hypothesis import strategies as st

from tests.fuzz.mutants import torture
from tests.message import strategies as sip

TORTURE = torture()


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw a message that something has happened to, a few times."""
    whole = st.one_of(st.sampled_from(TORTURE), sip.messages.map(lambda one: one.to_bytes()))
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        match draw(st.sampled_from(["flip", "insert", "delete", "splice", "double"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[at:at] = draw(
                    st.sampled_from([b"\r\n", b'"', b"<", b";", b",", b"\0", b"\xff"])
                )
            case "delete":
                del data[at : min(to, at + 40)]
            case "splice":
                data[at:] = draw(st.sampled_from(TORTURE))[at:]
            case "double":
                data[at:at] = data[at : min(to, at + 40)]
    return bytes(data)
