"""The layer rule: import-linter's contracts in pyproject.toml (architecture.md)."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from importlinter.cli import lint_imports_command

ROOT = Path(__file__).parents[1]


def test_every_contract_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # It would switch off every logger that there is, for all tests to come.
    monkeypatch.setattr("importlinter.cli.logging_config.dictConfig", lambda _: None)
    done = CliRunner().invoke(lint_imports_command, ["--no-cache"])
    assert done.exit_code == 0, done.output
    kept = re.search(r"(\d+) kept, 0 broken", done.output)
    assert kept is not None
    assert int(kept[1]) >= 4
