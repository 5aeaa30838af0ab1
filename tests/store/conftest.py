"""A store in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipcore.store.sqlite import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()
