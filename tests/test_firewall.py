"""A node that gives work to the kernel: nftables, as `guard.nft` and its rate say."""

from pathlib import Path

from tests.walled import run_node


def test_a_node_has_the_kernel_meter_strangers_and_takes_that_back(tmp_path: Path) -> None:
    seen = run_node(tmp_path)
    for rate, burst in ((900, 4500), (20_000, 100_000)):
        assert seen.ruleset.count(f"limit rate over {rate}/second burst {burst} packets") == 2
    assert "table" not in seen.afterwards
    assert "bans are kept in process" not in seen.log
    assert "Traceback" not in seen.log
