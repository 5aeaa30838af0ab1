"""Numbers: what people dial, what is stored, what is sent out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.numbering import Home, PrefixTable, Style, normalise, write

SHANGHAI = Home("86", "021")
ANHUI = Home("86", "0555")  # a long area code: subscribers have 7 digits there


@pytest.mark.parametrize(
    ("dialled", "read"),
    [
        ("36413501", "+862136413501"),  # local
        ("02136413501", "+862136413501"),  # national
        ("862136413501", "+862136413501"),
        ("8602136413501", "+862136413501"),
        ("+862136413501", "+862136413501"),
        ("+8602136413501", "+862136413501"),  # trunk prefix after the country: a common slip
        ("00862136413501", "+862136413501"),
        ("021-3641 3501", "+862136413501"),
        ("+86 (21) 3641.3501", "+862136413501"),
        ("01012345678", "+861012345678"),
        ("07551234567", "+867551234567"),
        ("13800000000", "+8613800000000"),  # mobile
        ("013800000000", "+8613800000000"),
        ("8613800000000", "+8613800000000"),
        ("86123456", "+862186123456"),  # 8 digits that begin like the country are local
        ("4001234567", "+864001234567"),
        ("8001234567", "+868001234567"),
        ("+85223456789", "+85223456789"),
        ("0085223456789", "+85223456789"),
        ("110", "110"),
        ("+86110", "110"),
        ("10088", "10088"),
        ("+8610086", "10086"),
        ("1008611", "1008611"),
        ("021", "021"),
        ("8001", "8001"),
    ],
)
def test_a_dialled_number_is_read(dialled: str, read: str) -> None:
    assert normalise(dialled, SHANGHAI) == read


@pytest.mark.parametrize(
    "text",
    ["", "+", "alice", "anonymous", "+86", "+860", "*1", "8001;x", "+abc", "00", "0012",
     "123456789", "12345678", "+8621364135", "+1234567890123456", "+012345678",
     "٣٦٤١٣٥٠١", "02136413501234"],
)  # fmt: skip
def test_what_is_no_number_is_none(text: str) -> None:
    assert normalise(text, SHANGHAI) is None


def test_seven_digits_are_local_only_under_a_long_area_code() -> None:
    assert normalise("2345678", ANHUI) == "+865552345678"
    assert normalise("2345678", SHANGHAI) == "2345678"


def test_without_an_area_nothing_is_local() -> None:
    assert normalise("36413501", Home("86", "")) is None


def test_another_country_reads_its_own_prefix_first() -> None:
    assert normalise("12125551234", Home("1", "")) == "+12125551234"


@pytest.mark.parametrize(
    ("number", "style", "written"),
    [
        ("+862136413501", Style.E164, "+862136413501"),
        ("+862136413501", Style.DIGITS, "862136413501"),
        ("+862136413501", Style.NATIONAL, "02136413501"),
        ("+8613800000000", Style.NATIONAL, "13800000000"),
        ("+864001234567", Style.NATIONAL, "4001234567"),
        ("+85223456789", Style.NATIONAL, "0085223456789"),
        ("110", Style.NATIONAL, "110"),
        ("110", Style.E164, "110"),
    ],
)
def test_a_number_is_written_as_a_trunk_wants_it(number: str, style: Style, written: str) -> None:
    assert write(number, style, SHANGHAI) == written


digits = st.text("0123456789", min_size=1, max_size=16)
dialled_texts = st.one_of(
    st.text(max_size=20),
    st.builds(str.__add__, st.sampled_from(["", "+", "0", "00", "86", "+86", "021", "1"]), digits),
)


@given(dialled_texts, st.sampled_from([SHANGHAI, ANHUI, Home("1", ""), Home("852", "")]))
def test_reading_twice_is_reading_once(text: str, home: Home) -> None:
    read = normalise(text, home)
    assert read is None or normalise(read, home) == read


@given(dialled_texts, st.sampled_from(Style))
def test_what_is_written_is_read_back(text: str, style: Style) -> None:
    read = normalise(text, SHANGHAI)
    foreign = read is not None and read[0] == "+" and not read.startswith("+86")
    if read is not None and not (foreign and style is Style.DIGITS):  # bare digits lose the country
        assert normalise(write(read, style, SHANGHAI), SHANGHAI) == read


@given(
    st.dictionaries(st.text("0123", min_size=1, max_size=5), st.integers()),
    st.text("0123", max_size=8),
)
def test_the_longest_prefix_wins(entries: dict[str, int], number: str) -> None:
    fitting = [prefix for prefix in entries if number.startswith(prefix)]
    expected = entries[max(fitting, key=len)] if fitting else None
    assert PrefixTable(entries).find(number) == expected


def test_a_table_knows_its_size() -> None:
    assert len(PrefixTable({"1": "a", "12": "b"})) == 2
