"""What is remembered of texts, and what is not."""

from sipcore.message.memory import (
    LONGEST,
    MOST_PARAMS,
    MOST_TEXTS,
    remembered,
    remembered_lines,
)


class Reader:
    """Counts what it is asked to read."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> str:
        self.asked.append(text)
        return text.upper()


def test_a_text_is_read_once() -> None:
    reader = Reader()
    read = remembered(reader)
    assert [read("a"), read("b"), read("a")] == ["A", "B", "A"]
    assert reader.asked == ["a", "b"]


def test_a_long_text_is_not_kept() -> None:
    reader = Reader()
    read = remembered(reader)
    text = "a" * (LONGEST + 1)
    assert read(text) == read(text) == text.upper()
    assert len(reader.asked) == 2


def test_a_text_of_many_parameters_is_not_kept_for_it_would_take_ten_times_its_length() -> None:
    reader = Reader()
    read = remembered(reader)
    usual, crowded = ";a" * MOST_PARAMS, ";a" * (MOST_PARAMS + 1)
    for text in (usual, crowded, usual, crowded):
        read(text)
    assert reader.asked == [usual, crowded, crowded]


def test_the_oldest_are_forgotten_when_there_are_too_many() -> None:
    reader = Reader()
    read = remembered(reader)
    texts = [str(number) for number in range(MOST_TEXTS + 1)]
    for text in texts:
        read(text)
    reader.asked.clear()
    read(texts[-1])
    read(texts[MOST_TEXTS // 2])
    assert reader.asked == []
    read(texts[0])
    assert reader.asked == ["0"]


def test_groups_of_lines_are_kept_unless_they_are_long() -> None:
    asked: list[tuple[str, ...]] = []
    read = remembered_lines(lambda lines: asked.append(lines) or len(lines))  # type: ignore[func-returns-value]
    short, long = ("a=b", "c=d"), ("a=" + "b" * 2000,)
    assert [read(short), read(short), read(long), read(long)] == [2, 2, 1, 1]
    assert asked == [short, long, long]
