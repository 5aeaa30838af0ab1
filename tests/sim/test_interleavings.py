"""Generated calls in which all sides ring, answer, hold, resume, change codecs, update, cancel,
transfer, pick up, take over and hang up in any order, with and without loss, to one carrier or to
several devices at once: each ends, the two that are left agree, nothing is left.

2,000 here, 100,000 in tests/test_many_interleavings.py. A failure names its seed and case, which
`python -m tests.sim.interleaving SEED CASE` shows again within seconds.
"""

from pathlib import Path

import pytest

from tests.sim.interleaving import run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_1000_interleavings_end_in_agreement(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, 1000, seed, caplog)
