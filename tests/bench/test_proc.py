"""/proc as proc(5) writes it."""

import os

import pytest

from bench import proc

STAT = (
    "4242 (python (x) y) S 17 4242 4242 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 1000 0 0 "
    "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"
)


def test_user_and_system_ticks_are_added_whatever_the_name() -> None:
    assert proc.cpu_ticks(STAT) == 300
    assert proc.parent_of(STAT) == 17


@pytest.mark.parametrize(
    ("cmdline", "role"),
    [
        (b"/venv/bin/python\0-m\0sipcore.serve\0media-0\0", "media-0"),
        (b"/venv/bin/python\0-m\0sipcore.serve\0signalling\0", "signalling"),
        (b"/venv/bin/python\0-m\0sipcore.cli\0serve\0--data\0var\0", "supervisor"),
    ],
)
def test_a_process_is_named_by_its_command_line(cmdline: bytes, role: str) -> None:
    assert proc.role_of(cmdline) == role


def test_this_process_has_cost_something_and_has_a_parent() -> None:
    assert proc.cpu_s(os.getpid()) > 0
    assert proc.parent_of((proc.PROC / "self" / "stat").read_text()) == os.getppid()
    assert proc.family(os.getpid())["supervisor"] == os.getpid()


def test_a_core_is_busy_with_all_but_idling_and_waiting_for_disks() -> None:
    stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 400 500 6 7 8 0 0\ncpu1 1 0 0 4 5 0 0 0 0 0\n"
    assert proc.busy_ticks(stat, 0) == 27
    assert proc.busy_ticks(stat, 1) == 1
    assert proc.busy_ticks(stat, 7) == 0
    assert proc.busy_s(0) > 0


def test_cost_is_seconds_of_each_process_for_a_thousand_operations() -> None:
    before = proc.Reading(0.0, {"signalling": 10.0, "web": 1.0})
    after = proc.Reading(5.0, {"signalling": 12.0, "web": 1.0})
    assert proc.cost(before, after, 4000) == {"signalling": 0.5, "web": 0.0}
