"""CDRs as accountants and programs read them."""

import csv
import io
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sipcore.cdr.entry import Answered, Ended, to_line
from sipcore.cdr.export import read_cdrs, write_csv, write_jsonl
from sipcore.cdr.record import COLUMNS, Cdr
from tests.cdr.samples import NOON, answered_call


def ended(number: int, at: float) -> Cdr:
    return replace(answered_call(number), ended_at=at, talked_s=at - NOON)


def segment(folder: Path, name: int, *cdrs: Cdr) -> Path:
    file = folder / f"journal-{name:06d}.jsonl"
    file.write_bytes(b"".join(to_line(Ended(cdr)) for cdr in cdrs))
    return file


def test_the_columns_are_those_of_the_service_contract_in_their_order() -> None:
    assert ", ".join(COLUMNS) == (  # service.md section 7
        "id, call_id, parent_id, node, customer, account, direction, caller_asserted, caller_shown,"
        " callee_dialled, callee_routed, device, trunk, carrier, tries, setup_at, ringing_at,"
        " answered_at, ended_at, talked_s, billed_s, ended_by, sip_status, q850_cause, rule,"
        " reason,"
        " a_codec, a_packets, a_lost, a_jitter_ms, a_mos, b_codec, b_packets, b_lost, b_jitter_ms,"
        " b_mos, recording, recording_sha256, recording_degraded, plan_minutes, paid_minutes,"
        " amount, inferred_end"
    )


def test_csv_has_a_header_and_empty_cells_for_what_was_not_reached() -> None:
    cdr = replace(
        ended(1, NOON + 62.000001),
        customer='Acme, "服务"',
        talked_s=0.00001,
        amount=Decimal("1E+2"),
        recording_degraded=False,
    )
    out = io.StringIO()
    write_csv([cdr], out)
    assert out.getvalue().endswith("\r\n")
    [row] = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    assert list(row) == list(COLUMNS)
    assert row["setup_at"] == "2026-11-22T12:00:00.000000Z"
    assert row["ended_at"] == "2026-11-22T12:01:02.000001Z"
    assert (row["customer"], row["talked_s"], row["amount"]) == ('Acme, "服务"', "0.00001", "100")
    assert (row["ringing_at"], row["recording_degraded"], row["inferred_end"]) == (
        "",
        "false",
        "false",
    )


def test_no_cell_of_csv_is_a_formula_to_a_spreadsheet_and_numbers_stay() -> None:
    evil = ["=HYPERLINK(1)", "@SUM(1)", "+1+cmd|'/C calc'!A0", "-2+3", "\t=1"]
    numbers = ["+862136413501", "8001", "*21#", "-1.5", "", "a=b"]
    for said in evil + numbers:
        out = io.StringIO()
        write_csv([replace(ended(1, NOON), callee_dialled=said)], out)
        [row] = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
        assert row["callee_dialled"] == (f"'{said}" if said in evil else said)


def test_json_lines_have_every_column() -> None:
    out = io.StringIO()
    write_jsonl([replace(ended(1, NOON + 5), amount=Decimal("0.12"))], out)
    [row] = map(json.loads, out.getvalue().splitlines())
    assert list(row) == list(COLUMNS)
    assert (row["amount"], row["talked_s"], row["ringing_at"]) == ("0.12", 5.0, None)


def test_records_come_in_order_of_their_ending_across_segments(tmp_path: Path) -> None:
    segment(tmp_path, 1, ended(1, NOON + 10), ended(2, NOON + 30))
    segment(tmp_path, 2, ended(3, NOON + 20), ended(4, NOON + 40), ended(5, NOON + 39))
    segment(tmp_path, 3, ended(6, NOON + 1), ended(7, NOON + 50))
    ends = [cdr.ended_at for cdr in read_cdrs(tmp_path)]
    assert ends == [NOON + s for s in (1, 10, 20, 30, 39, 40, 50)]


def test_an_id_comes_once_and_its_first_record_counts(tmp_path: Path) -> None:
    segment(tmp_path, 1, ended(1, NOON + 10), ended(1, NOON + 12))
    segment(tmp_path, 2, ended(1, NOON + 11), ended(2, NOON + 11))
    assert [cdr.ended_at for cdr in read_cdrs(tmp_path)] == [NOON + 10, NOON + 11]


def test_since_shows_what_ended_then_or_later(tmp_path: Path) -> None:
    segment(tmp_path, 1, ended(1, NOON + 10), ended(2, NOON + 20))
    assert [cdr.ended_at for cdr in read_cdrs(tmp_path, NOON + 20)] == [NOON + 20]


def test_segments_last_written_long_before_since_are_not_opened(tmp_path: Path) -> None:
    old = segment(tmp_path, 1, ended(1, NOON + 10))
    segment(tmp_path, 2, ended(2, NOON + 20))
    os.utime(old, (NOON - 200_000, NOON - 200_000))
    assert [cdr.ended_at for cdr in read_cdrs(tmp_path, NOON)] == [NOON + 20]


def test_answers_and_torn_lines_are_not_records(tmp_path: Path) -> None:
    file = segment(tmp_path, 1, ended(1, NOON + 10))
    with file.open("ab") as out:
        out.write(to_line(Answered(answered_call(2))) + to_line(Ended(ended(3, NOON)))[:40])
    assert len(list(read_cdrs(tmp_path))) == 1


def test_records_that_ended_together_come_in_order_of_their_ids(tmp_path: Path) -> None:
    segment(tmp_path, 1, *(ended(n, NOON + 1) for n in (3, 1, 2)))
    assert [cdr.id[-1] for cdr in read_cdrs(tmp_path)] == ["1", "2", "3"]


written = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 30), st.integers(0, 9)))


@given(written, st.integers(0, 30) | st.none())
def test_any_spread_over_segments_comes_out_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[int, int, int]],
    since_s: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    cdrs = {(number, at): ended(number * 100 + at, NOON + at) for _, at, number in lines}
    for name in range(1, 5):
        mine = (cdrs[number, at] for where, at, number in lines if where == name)
        segment(folder, name, *mine)
    since = None if since_s is None else NOON + since_s
    wanted = sorted(cdrs.values(), key=lambda cdr: (cdr.ended_at, cdr.id))
    assert list(read_cdrs(folder, since)) == [
        cdr for cdr in wanted if since is None or (cdr.ended_at or 0) >= since
    ]
