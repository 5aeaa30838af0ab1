"""docs/interop.md against what this run has shown. It is the last test of its folder, and fails in
a run that leaves tests of the matrix out."""

from itertools import product

import pytest

from tests.interop.matrix import CLIENTS, PAGE, TRANSPORTS, Matrix, without_versions


def test_what_is_not_promised_has_its_reason() -> None:
    for client in CLIENTS.values():
        assert client.transports
        for transport, case in product(TRANSPORTS, client.rows):
            is_promised = case in client.cases(transport)
            assert is_promised != client.excludes(transport, case), (client, transport, case)


def test_the_page_is_what_this_run_has_shown(request: pytest.FixtureRequest, shown: Matrix) -> None:
    assert not shown.missing()
    text = shown.text()
    if request.config.getoption("--write-interop"):
        PAGE.write_text(text, "utf-8")
    assert without_versions(PAGE.read_text("utf-8")) == without_versions(text), "make interop"
