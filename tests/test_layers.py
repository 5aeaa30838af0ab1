"""The layer rule: import-linter's contracts in pyproject.toml (architecture.md)."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = re.compile(r"^from tests\.[\w.]*\btest_\w+ import ", re.MULTILINE)


def test_every_contract_is_kept() -> None:
    """In a process of its own: it would switch off every logger of this one."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    kept = re.search(r"(\d+) kept, 0 broken", done.stdout)
    assert kept is not None
    assert int(kept[1]) >= 4


def test_no_test_module_imports_from_another() -> None:
    """What several tests set up has a module of its own, without a test in it."""
    files = (ROOT / "tests").rglob("*.py")
    found = {str(one): IMPORTS.search(one.read_text("utf-8")) for one in files}
    assert [name for name, match in found.items() if match is not None] == []
