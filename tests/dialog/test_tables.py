"""The four tables as a whole: every message in every state, and nothing that cannot happen."""

from collections.abc import Callable

import pytest

from sipcore.dialog import tables
from sipcore.dialog.transaction import Transaction
from sipcore.message.flow import Flow
from tests.dialog.lab import TCP, UDP, Lab

Step = Callable[[Lab, Transaction], object]

TABLES = {
    "invite client": tables.INVITE_CLIENT,
    "other client": tables.NON_INVITE_CLIENT,
    "invite server": tables.INVITE_SERVER,
    "other server": tables.NON_INVITE_SERVER,
}

# What may happen to a transaction of each side.
CLIENT: dict[str, Step] = {
    "1xx": lambda lab, _: lab.answer(100),
    "2xx": lambda lab, _: lab.answer(200),
    "3xx": lambda lab, _: lab.answer(486),
    "error": lambda lab, transaction: lab.fail(transaction),
    "again": lambda lab, transaction: lab.receive(lab.request_sent(transaction.method)),
}
SERVER: dict[str, Step] = {
    "1xx": lambda lab, transaction: lab.respond(transaction, 100),
    "2xx": lambda lab, transaction: lab.respond(transaction, 200),
    "3xx": lambda lab, transaction: lab.respond(transaction, 486),
    "error": lambda lab, transaction: lab.fail(transaction),
    "again": lambda lab, transaction: lab.hear(transaction.method),
    "ack": lambda lab, _: lab.hear("ACK"),
}

# Side, how a state is reached, and what each step does there: next state, sent, told.
# A step that is not named changes nothing, sends nothing, tells nothing.
ROWS: list[tuple[str, str, dict[str, tuple[str, list[str], int]]]] = [
    ("INVITE client", "", {
        "1xx": ("proceeding", [], 1), "2xx": ("accepted", [], 1), "3xx": ("completed", ["ACK"], 1),
        "error": ("terminated", [], 1), "again": ("calling", ["482"], 0),
    }),
    ("INVITE client", "1xx", {
        "1xx": ("proceeding", [], 1), "2xx": ("accepted", [], 1), "3xx": ("completed", ["ACK"], 1),
        "again": ("proceeding", ["482"], 0),
    }),
    ("INVITE client", "2xx", {"2xx": ("accepted", [], 1), "again": ("accepted", ["482"], 0)}),
    ("INVITE client", "3xx", {
        "3xx": ("completed", ["ACK"], 0), "again": ("completed", ["482"], 0),
    }),
    ("OPTIONS client", "", {
        "1xx": ("proceeding", [], 1), "2xx": ("completed", [], 1), "3xx": ("completed", [], 1),
        "error": ("terminated", [], 1), "again": ("trying", ["482"], 0),
    }),
    ("OPTIONS client", "1xx", {
        "1xx": ("proceeding", [], 1), "2xx": ("completed", [], 1), "3xx": ("completed", [], 1),
        "error": ("terminated", [], 1), "again": ("proceeding", ["482"], 0),
    }),
    ("OPTIONS client", "3xx", {"again": ("completed", ["482"], 0)}),
    ("INVITE server", "", {
        "1xx": ("proceeding", ["100"], 0), "2xx": ("accepted", ["200"], 0),
        "3xx": ("completed", ["486"], 0), "again": ("proceeding", ["100"], 0),
    }),
    ("INVITE server", "2xx", {"ack": ("confirmed", [], 1)}),
    ("INVITE server", "3xx", {"again": ("completed", ["486"], 0), "ack": ("confirmed", [], 0)}),
    ("INVITE server", "3xx ack", {}),
    ("INVITE server", "2xx ack", {}),
    ("OPTIONS server", "", {
        "1xx": ("proceeding", ["100"], 0), "2xx": ("completed", ["200"], 0),
        "3xx": ("completed", ["486"], 0),
    }),
    ("OPTIONS server", "1xx", {
        "1xx": ("proceeding", [], 0), "2xx": ("completed", ["200"], 0),
        "3xx": ("completed", ["486"], 0), "again": ("proceeding", ["100"], 0),
    }),
    ("OPTIONS server", "3xx", {"again": ("completed", ["486"], 0)}),
]  # fmt: skip
CASES = [
    (side, path, step)
    for side, path, _ in ROWS
    for step in (CLIENT if side.endswith("client") else SERVER)
]


def _open(side: str, flow: Flow) -> tuple[Lab, Transaction, dict[str, Step]]:
    lab = Lab(flow)
    method, _, kind = side.partition(" ")
    if kind == "client":
        return lab, lab.ask(method), CLIENT
    lab.hear(method)
    return lab, lab.accept(), SERVER


@pytest.mark.parametrize(("side", "path", "step"), CASES)
def test_each_message_in_each_state_does_what_the_figures_say(
    side: str, path: str, step: str
) -> None:
    lab, transaction, steps = _open(side, UDP)
    for before in path.split():
        steps[before](lab, transaction)
    state, sent, told = transaction.state, len(lab.sent), len(lab.told)
    steps[step](lab, transaction)
    expected = next(row for one, way, row in ROWS if (one, way) == (side, path))
    after, labels, more = expected.get(step, (state, [], 0))
    assert (transaction.state, lab.labels()[sent:], len(lab.told) - told) == (after, labels, more)


@pytest.mark.parametrize(("side", "path"), [(side, path) for side, path, _ in ROWS])
@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_every_state_ends_by_itself_or_when_its_user_does_something(
    side: str, path: str, flow: Flow
) -> None:
    lab, transaction, steps = _open(side, flow)
    for before in path.split():
        steps[before](lab, transaction)
    if side.startswith("INVITE") and transaction.state == "proceeding":
        lab.cancel(transaction) if transaction.is_client else lab.respond(transaction, 487)
    lab.advance(64)
    assert transaction.state == "terminated"
    assert (lab.stack.count(), len(lab.stack.timers)) == (0, 0)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_can_be_reached_and_left(table: tables.Table) -> None:
    states = {state for state, _ in table}
    reached = {after for after, _ in table.values()}
    first = {tables.CALLING, tables.TRYING} & states or {tables.PROCEEDING}
    assert states - first <= reached
    assert reached - {tables.TERMINATED} <= states
    assert tables.TERMINATED not in states, "what has ended has no rows"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_nothing_is_left_to_do_when_stragglers_have_had_their_time(table: tables.Table) -> None:
    rows = {row for (_, word), row in table.items() if word == tables.LINGERED}
    assert rows == {(tables.TERMINATED, ())}


def test_a_status_is_a_word() -> None:
    words = [
        [of_class[status // 100] for status in (100, 200, 300, 699)]
        for of_class in (tables.GIVEN, tables.HEARD)
    ]
    assert words == [["s1xx", "s2xx", "s3xx", "s3xx"], ["r1xx", "r2xx", "r3xx", "r3xx"]]
