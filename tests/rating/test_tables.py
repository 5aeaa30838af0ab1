"""A table into a struct: every fault, each with its place."""

from typing import Annotated

from msgspec import Meta, Struct

from sipcore.rating.tables import Fault, as_text, decode, decode_each


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    x: int


class Thing(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    size: Annotated[int, Meta(ge=1)]
    inner: Inner | None = None
    tags: tuple[str, ...] = ()


def test_a_right_table_is_decoded() -> None:
    faults: list[Fault] = []
    assert decode({"name": "a", "size": 1}, Thing, ("thing", 0), faults) == Thing("a", 1)
    assert faults == []


def test_every_fault_of_a_table_is_named() -> None:
    faults: list[Fault] = []
    table = {"size": 0, "inner": {"x": "y"}, "tags": ["a", 1], "colour": "red"}
    assert decode(table, Thing, ("thing", 2), faults) is None
    assert faults == [
        (("thing", 2, "colour"), "unknown key `colour`"),
        (("thing", 2), "missing key `name`"),
        (("thing", 2, "size"), "size: Expected `int` >= 1"),
        (("thing", 2, "inner"), "inner: Expected `int`, got `str` (at .x)"),
        (("thing", 2, "tags"), "tags: Expected `str`, got `int` (at [1])"),
    ]


def test_what_is_no_table_is_a_fault() -> None:
    faults: list[Fault] = []
    assert decode(3, Thing, ("thing",), faults) is None
    assert faults == [(("thing",), "Expected `object`, got `int`")]


def test_an_array_keeps_what_is_right() -> None:
    faults: list[Fault] = []
    right = decode_each([{"name": "a", "size": 1}, {}], Thing, ("thing",), faults)
    assert right == [(("thing", 0), Thing("a", 1))]
    assert [place for place, _ in faults] == [("thing", 1), ("thing", 1)]


def test_what_is_no_array_is_a_fault() -> None:
    faults: list[Fault] = []
    assert decode_each({"a": 1}, Thing, ("thing",), faults) == []
    assert faults == [(("thing",), "write it as an array of tables, [[thing]]")]


def test_a_place_reads_like_a_path() -> None:
    assert as_text(("plan", 3, "rent")) == "$.plan[3].rent"
    assert as_text(()) == "$"
