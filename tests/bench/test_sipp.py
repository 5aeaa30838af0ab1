"""What SIPp 3.6 writes with -trace_stat, -trace_counts and -trace_rtt."""

from bench.sipp import parse_counts, parse_delays, parse_statistics, statistics

STAT = """\
StartTime;LastResetTime;CurrentTime;TotalCallCreated;SuccessfulCall(C);FailedCall(C);
2026-11-22\t12:37:52.144\t100.0;x;2026-11-22\t12:37:53.148\t101.0;99;98;0;
2026-11-22\t12:37:52.144\t100.0;x;2026-11-22\t12:37:54.148\t102.0;200;197;1;
2026-11-22\t12:37:52
"""
COUNTS = """\
CurrentTime;ElapsedTime;0_INVITE_Sent;0_INVITE_Retrans;1_200_Recv;1_200_Retrans;
2026-11-22\t12:37:53;00:00:01;100;0;99;0;
2026-11-22\t12:37:54;00:00:02;200;2;198;3;
"""


def test_columns_are_read_by_name_and_a_cut_row_is_left_out() -> None:
    assert parse_statistics(STAT)["SuccessfulCall(C)"] == ["98", "197"]
    assert parse_statistics("") == {}


def test_the_last_row_of_the_counts_counts() -> None:
    assert parse_counts(COUNTS)["0_INVITE_Retrans"] == 2
    assert parse_counts("CurrentTime;\n") == {}


def test_delays_have_their_time_and_a_cut_row_is_left_out() -> None:
    text = "Date_ms;response_time_ms;rtd_no\n24.001;12;done\n4000;8;done\n41"
    assert parse_delays(text) == [(0.024001, 12.0), (4.0, 8.0)]
    assert parse_delays("") == []


def test_totals_of_a_run() -> None:
    found = statistics(STAT, COUNTS)
    assert (found.created, found.done, found.failed, found.retransmitted) == (200, 197, 1, 5)
    assert found.finished == [(101.0, 98.0), (102.0, 197.0)]


def test_a_run_that_left_no_files_has_done_nothing() -> None:
    found = statistics("", "")
    assert (found.created, found.done, found.finished) == (0, 0, [])
