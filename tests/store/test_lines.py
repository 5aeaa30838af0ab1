"""Where keys stand in a TOML text."""

import tomllib

import pytest

from sipcore.rating.tables import Place
from sipcore.store.lines import Lines
from tests.store.files import DEMO, line_of

TEXT = '''# a comment [not.a.table]
top = 1

[single]            # a table
"quoted key" = 2
[ spaced . out ]
x = { y = 1, z = [1, 2] }
[[array]]
name = "a [[array]] in a string"
list = [
  "one",            # name = "a comment"
  [ "two" ],
]
after = 1
[[array]]
text = """
name = "not a key"
[[array]]
"quotes" at the end""""
raw = \'\'\'
[[array]]
\'\'\'
dotted.key = 1
  [[array.inner]]
  a = 1
  [[array.inner]]
  a = 2
[[array]]
  [[array.inner]]
  a = 3
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 2),
        (("single",), 4),
        (("single", "quoted key"), 5),
        (("spaced", "out"), 6),
        (("spaced", "out", "x"), 7),
        (("spaced", "out", "x", "z", 1), 7),
        (("array", 0), 8),
        (("array", 0, "name"), 9),
        (("array", 0, "list"), 10),
        (("array", 0, "after"), 14),
        (("array", 1), 15),
        (("array", 1, "text"), 16),
        (("array", 1, "raw"), 20),
        (("array", 1, "dotted"), 23),
        (("array", 1, "dotted", "key"), 23),
        (("array", 1, "inner", 0, "a"), 25),
        (("array", 1, "inner", 1), 26),
        (("array", 1, "inner", 1, "a"), 27),
        (("array", 2, "inner", 0, "a"), 30),
        (("array", 2, "missing"), 28),  # the nearest place around it
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_a_place_has_its_line(place: Place, line: int) -> None:
    tomllib.loads(TEXT)
    assert Lines(TEXT).find(place) == line


def test_the_demonstration_is_read_to_its_end() -> None:
    lines = Lines(DEMO)
    assert lines.find(("carrier", 1, "uri")) == line_of(DEMO, "uri = ", 2)
    assert lines.find(("customer", 0, "extension", 2, "device")) == line_of(DEMO, '"soft"  ')
    assert lines.find(("customer", 1, "trunk", 0, "password")) == line_of(DEMO, "beta-pbx-secret")


def test_line_ends_of_windows_count_once() -> None:
    assert Lines(TEXT.replace("\n", "\r\n")).find(("array", 2, "inner", 0, "a")) == 30


def test_a_text_may_end_without_a_line_end() -> None:
    assert Lines("a = 1\nb = [1,\n2]").find(("b",)) == 2


def test_an_empty_text_has_no_places() -> None:
    assert Lines("").find(("carrier", 0)) == 1
