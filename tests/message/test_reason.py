"""SIP statuses and Q.850 causes, row by row (RFC 3398), and the Reason header (RFC 3326)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.message.message import Request
from sipcore.message.reason import (
    COMPLETED_ELSEWHERE,
    cause_in,
    q850_in,
    q850_of,
    status_of,
    why_cancelled,
    write_q850,
)

# RFC 3398 8.2.6.1; 488 and 606 by their usual warning: incompatible media.
TO_CAUSE = [
    (400, 41), (401, 21), (402, 21), (403, 21), (404, 1), (405, 63), (406, 79), (407, 21),
    (408, 102), (410, 22), (413, 127), (414, 127), (415, 79), (416, 127), (420, 127), (421, 127),
    (423, 127), (480, 18), (481, 41), (482, 25), (483, 25), (484, 28), (485, 1), (486, 17),
    (488, 88), (500, 41), (501, 79), (502, 38), (503, 41), (504, 102), (505, 127), (513, 127),
    (600, 17), (603, 21), (604, 1), (606, 88), (200, 16), (487, 16), (499, 31),
]  # fmt: skip

# RFC 3398 7.2.4.1.
TO_STATUS = [
    (1, 404), (2, 404), (3, 404), (17, 486), (18, 408), (19, 480), (20, 480), (21, 403), (22, 410),
    (23, 410), (26, 404), (27, 502), (28, 484), (29, 501), (31, 480), (34, 503), (38, 503),
    (41, 503), (42, 503), (47, 503), (55, 403), (57, 403), (58, 503), (65, 488), (70, 488),
    (79, 501), (87, 403), (88, 503), (102, 504), (111, 500), (127, 500), (99, 500),
]  # fmt: skip


@pytest.mark.parametrize(("status", "cause"), TO_CAUSE)
def test_a_status_has_its_cause(status: int, cause: int) -> None:
    assert q850_of(status) == cause


@pytest.mark.parametrize(("cause", "status"), TO_STATUS)
def test_a_cause_has_its_status(cause: int, status: int) -> None:
    assert status_of(cause) == status


def bye(*rows: str) -> Request:
    return Request("BYE", "sip:a@b", {"Reason": list(rows)} if rows else {})


@pytest.mark.parametrize(
    ("rows", "q850", "sip"),
    [
        (["Q.850;cause=16"], 16, None),
        (['Q.850 ;cause=16;text="Terminated"'], 16, None),
        (['SIP;cause=600;text="Busy, Q.850;cause=3"', "q.850; cause = 17"], 17, 600),
        (['SIP ;cause=200 ;text="Call completed elsewhere", Q.850;cause=26'], 26, 200),
        (["Q.850;cause=128", "SIP;cause=1000"], None, None),
        (["preemption;cause=1"], None, None),
        (["Q.850"], None, None),
        ([], None, None),
    ],
)
def test_causes_are_found_among_others(rows: list[str], q850: int, sip: int) -> None:
    assert (q850_in(bye(*rows)), cause_in(bye(*rows), "SIP")) == (q850, sip)


def test_answered_elsewhere_goes_on_to_who_still_rings() -> None:
    assert why_cancelled(bye("SIP;cause=200")) == COMPLETED_ELSEWHERE
    assert why_cancelled(bye("Q.850;cause=26")) == "Q.850;cause=26"
    assert why_cancelled(bye()) is None


@given(st.integers(0, 127), st.text(max_size=20))
def test_what_is_written_is_read(cause: int, text: str) -> None:
    assert q850_in(bye(write_q850(cause, text))) == cause


@given(st.text(max_size=60))
def test_any_text_is_read_or_says_nothing(text: str) -> None:
    assert q850_in(bye(text)) in (None, *range(128))
