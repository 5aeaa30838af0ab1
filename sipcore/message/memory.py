"""Reading the same text once: From and To come again with each message, URIs with each call.

What is remembered is shared, so the values are frozen and their `params` must never be changed.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Value = TypeVar("Value")

MOST_TEXTS = 8192
LONGEST = 160  # characters: what strangers send cannot fill the memory


def remembered(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a reader that keeps what the latest short texts mean. Exceptions are not kept."""
    known = lru_cache(MOST_TEXTS)(read)

    def recall(text: str) -> Value:
        return known(text) if len(text) <= LONGEST else read(text)

    recall.__doc__ = read.__doc__
    return recall
