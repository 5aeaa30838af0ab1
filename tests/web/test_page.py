"""The status page's words."""

import pytest

from sipcore.control import Status
from sipcore.web.page import STYLE_HASH, Language, choose_language, render

STATUS = Status(
    node="node-<1>", version="0.1.0", started_at=1000.0, calls=1234, bindings=5, trunks=2
)


@pytest.mark.parametrize(
    ("asked", "accept", "language"),
    [
        (None, "", "zh"),
        ("en", "zh", "en"),
        ("fr", "en-GB,en;q=0.9", "en"),
        (None, "fr, en;q=0.5, zh-CN;q=0.8", "zh"),
        (None, "en;q=nonsense", "en"),
        (None, "de;q=1", "zh"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_browsers_else_the_nodes(
    asked: str | None, accept: str, language: Language
) -> None:
    assert choose_language(asked, accept, "zh") == language


def test_the_page_shows_figures_in_both_languages_and_escapes_names() -> None:
    chinese = render(STATUS, [], "zh", 1000.0 + 90061)
    assert "运行正常" in chinese
    assert "1 天 1 小时" in chinese
    assert "node-&lt;1&gt;" in chinese
    english = render(STATUS, [], "en", 1005.0)
    assert "In service" in english
    assert "<dd>1,234</dd>" in english
    assert "5 s" in english


def test_the_page_says_why_no_calls_are_taken() -> None:
    text = render(STATUS, ["media-0 is not connected"], "en", 1005.0)
    assert "No new calls are taken now" in text
    assert "<li>media-0 is not connected</li>" in text


def test_the_page_says_that_the_node_does_not_answer() -> None:
    assert "信令进程没有应答" in render(None, [], "zh", 0)


def test_the_style_is_allowed_by_its_hash_alone() -> None:
    assert len(STYLE_HASH) == 44
