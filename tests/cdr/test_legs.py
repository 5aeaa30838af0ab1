"""What the journal keeps of a call's legs, and that no crash, restart or new segment loses it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sipcore.cdr.entry import Answered, Entry, LegLine, Moved, Side, parse_line, segments, to_line
from sipcore.cdr.journal import Alive, Bounds, Ended, InlineJournal, recover
from sipcore.metrics import Metrics
from tests.cdr.samples import answered_call

FLOW = ("udp", "10.0.0.1", 5060, "10.0.1.1", 5060)
A = LegLine("a", "call-1", "<sip:1@x>;tag=1", "<sip:2@x>;tag=2", 0, "sip:2@10.0.1.1", FLOW)
B = replace(A, side="b", call_id="call-2", number=1, route=("<sip:p@10.0.2.1;lr>",))
ONE = Answered(answered_call(1), (A, B), (("a", 0, 10000), ("b", 0, 10002)))
AWAY = replace(B, target="sip:2@10.0.1.9")

words = st.text(max_size=9)
lines = st.builds(
    LegLine,
    *(st.sampled_from(("a", "b")), words, words, words, st.integers(0, 2**31), words),
    st.tuples(words, words, st.integers(0, 65535), words, st.integers(0, 65535)),
    st.lists(words, max_size=3).map(tuple),
)


def written(folder: Path, *entries: Entry, segment_bytes: int = 1 << 20) -> InlineJournal:
    journal = InlineJournal(folder, Metrics(), recover(folder), Bounds(segment_bytes))
    journal.start()
    for entry in entries:
        journal.append(entry)
    return journal


def leg(folder: Path, side: Side) -> LegLine:
    [call] = recover(folder).open
    return next(one for one in call.answered.legs if one.side == side)


@given(lines)
def test_a_leg_is_read_as_it_was_written(line: LegLine) -> None:
    for entry in (Answered(answered_call(1), (line,)), Moved("1", line)):
        assert parse_line(to_line(entry)) == entry


def test_an_answer_of_before_legs_were_kept_is_read() -> None:
    entry = parse_line(to_line(Answered(answered_call(1))))
    assert isinstance(entry, Answered)
    assert (entry.legs, entry.media) == ((), ())


def test_the_latest_place_of_a_leg_counts(tmp_path: Path) -> None:
    written(tmp_path, ONE, Moved(ONE.cdr.id, replace(B, target="sip:2@10.0.1.8")))
    written(tmp_path, Moved(ONE.cdr.id, AWAY), Moved("of nobody", A))
    assert (leg(tmp_path, "a"), leg(tmp_path, "b")) == (A, AWAY)


def test_a_new_segment_and_a_restart_keep_where_the_legs_are(tmp_path: Path) -> None:
    written(tmp_path, ONE, Moved(ONE.cdr.id, AWAY), segment_bytes=1500)
    others = [Answered(answered_call(number)) for number in range(2, 20)]
    for one in others:
        written(tmp_path, one, Ended(one.cdr), segment_bytes=1500)
    assert len(segments(tmp_path)) > 5
    assert (leg(tmp_path, "a"), leg(tmp_path, "b")) == (A, AWAY)


def test_within_one_journal_a_new_segment_takes_moves_along_until_the_end(tmp_path: Path) -> None:
    journal = written(tmp_path, ONE, Moved(ONE.cdr.id, AWAY), segment_bytes=2000)
    for number in range(2, 40):
        journal.append(Alive(float(number), {ONE.cdr.id: float(number)}))
        journal.append(Ended(answered_call(number)))
    assert len(segments(tmp_path)) > 2
    assert leg(tmp_path, "b") == AWAY
    journal.append(Ended(ONE.cdr))
    for number in range(40, 80):
        journal.append(Ended(answered_call(number)))
    newest = segments(tmp_path)[-1][1].read_bytes()
    assert b"moved" not in newest
    assert recover(tmp_path).open == ()


def test_octets_that_are_no_utf_8_cost_no_record() -> None:
    cdr = replace(answered_call(1), reason="\udcd3\udcc3 busy", call_id="a\udcff")
    read = parse_line(to_line(Ended(cdr)))
    assert isinstance(read, Ended)
    assert (read.cdr.reason, read.cdr.call_id) == ("?? busy", "a?")
