"""The status page, in Chinese or English. Figures only and no names: it has no sign-in."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Literal

from sipcore.control import Status

Language = Literal["zh", "en"]
_LANGUAGES: dict[str | None, Language] = {"zh": "zh", "en": "en"}

_HTML = files("sipcore.web").joinpath("status.html").read_text("utf-8")
_STYLE = re.search(r"<style>(.*?)</style>", _HTML, re.DOTALL)
assert _STYLE is not None
STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE[1].encode()).digest()).decode()
_PAGE = Template(_HTML)

_WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "ready": "运行正常",
        "draining": "正在停机:不再接受新呼叫",
        "not_ready": "暂不接受新呼叫",
        "silent": "信令进程没有应答",
        "calls": "当前通话",
        "bindings": "在线注册",
        "trunks": "外线",
        "uptime": "已运行",
        "footer": "每 5 秒刷新",
        "other": "English",
    },
    "en": {
        "ready": "In service",
        "draining": "Stopping: no new calls are taken",
        "not_ready": "No new calls are taken now",
        "silent": "The signalling process does not answer",
        "calls": "Calls now",
        "bindings": "Registered contacts",
        "trunks": "Trunks",
        "uptime": "Up for",
        "footer": "Refreshed every 5 s",
        "other": "中文",
    },
}


def choose_language(asked: str | None, accept: str, default: Language) -> Language:
    """Return the language of the page: as asked for, else the browser's first of ours."""
    if asked in _LANGUAGES:
        return _LANGUAGES[asked]
    for part in sorted(accept.split(","), key=_quality, reverse=True):
        primary = part.strip().partition(";")[0].partition("-")[0].lower()
        if primary in _LANGUAGES:
            return _LANGUAGES[primary]
    return default


def render(status: Status | None, reasons: Sequence[str], language: Language, now: float) -> str:
    """Write the page. `status` None: the node does not answer. `now` in UTC seconds."""
    words = _WORDS[language]
    other: Language = "en" if language == "zh" else "zh"
    if status is None:
        state, figures = words["silent"], ""
    else:
        kind = "draining" if status.is_draining else "not_ready" if reasons else "ready"
        state, figures = words[kind], _figures(status, words, now - status.started_at, language)
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return _PAGE.substitute(
        lang=language,
        node=escape(status.node if status else "sipcore"),
        version=escape(status.version if status else ""),
        other_lang=other,
        other_name=words["other"],
        mood="bad" if status is None or reasons else "",
        state=state,
        reasons=f"<ul>{listed}</ul>" if listed else "",
        figures=figures,
        footer=words["footer"],
    )


def _figures(status: Status, words: dict[str, str], up_s: float, language: Language) -> str:
    figures = {
        "calls": f"{status.calls:,}",
        "bindings": f"{status.bindings:,}",
        "trunks": f"{status.trunks:,}",
        "uptime": _duration(max(0.0, up_s), language),
    }
    return "".join(
        f"<div><dt>{words[key]}</dt><dd>{value}</dd></div>" for key, value in figures.items()
    )


def _duration(seconds: float, language: Language) -> str:
    """Return the two greatest units: "3 d 4 h", "3 天 4 小时"."""
    units = (("d", "天", 86400), ("h", "小时", 3600), ("min", "分", 60), ("s", "秒", 1))
    parts: list[str] = []
    rest = int(seconds)
    for english, chinese, size in units:
        count, rest = divmod(rest, size)
        if count or parts or size == 1:
            parts.append(f"{count} {chinese if language == 'zh' else english}")
    return " ".join(parts[:2])


def _quality(part: str) -> float:
    """Return the q of one Accept-Language entry (RFC 9110 12.4.2); nonsense counts for nothing."""
    _, _, weight = part.partition(";q=")
    try:
        return float(weight) if weight else 1.0
    except ValueError:
        return 0.0
