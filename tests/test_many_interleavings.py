"""The 100,000 interleavings that the issue names: `make long` runs them."""

from pathlib import Path

import pytest

from tests.sim.interleaving import run


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [11, 12])
def test_50000_interleavings_end_in_agreement(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, 50_000, seed, caplog)
