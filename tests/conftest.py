"""Which tests run one after the other, in one worker, where pytest runs several (tests/run.py)."""

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

SERIAL = ("tests/interop/", "tests/bench/test_relays.py")
# Long, and they hardly need a processor: a row beside that of the folder.
BESIDE = ("tests/interop/test_carrier_faults.py", "tests/interop/test_soak.py")


class InRows(LoadScopeScheduling):  # type: ignore[misc]
    """What is in SERIAL is a row, and BESIDE another; every other test is its own. xdist 3.8 would
    have it from marks, but writes them into a field of the test that pytest 9.2 does not read."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(BESIDE):
            return BESIDE[0]
        return next((path for path in SERIAL if nodeid.startswith(path)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InRows | None:
    return InRows(config, log) if config.getvalue("dist") == "loadscope" else None
