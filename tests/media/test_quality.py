"""The E-model against the figures that ITU-T publishes."""

import pytest

from sipcore.media.quality import mos, rating


def test_a_clean_call_has_the_default_rating() -> None:  # G.107 table 2: R = 93.2, MOS 4.41
    assert rating("PCMU", 0, 0) == 93.2
    assert mos("pcma", 0) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("codec", "loss", "r"),
    [
        ("PCMU", 0.01, 93.2 - 95 / 5.3),  # G.113: Ie 0, Bpl 4.3
        ("G729", 0.0, 82.2),  # G.113: Ie 11
        ("G729", 0.02, 82.2 - 84 * 2 / 21),
        ("PCMU", 1.0, 93.2 - 95 * 100 / 104.3),
    ],
)
def test_codec_and_loss_take_what_g113_says(codec: str, loss: float, r: float) -> None:
    assert rating(codec, loss) == pytest.approx(r)


@pytest.mark.parametrize(("r_wanted", "score"), [(80, 4.02), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_scores_are_those_of_g107_annex_b(r_wanted: float, score: float) -> None:
    loss = next(n / 1e4 for n in range(10000) if rating("PCMU", n / 1e4) <= r_wanted)
    assert mos("PCMU", loss) == pytest.approx(score, abs=0.02)


def test_delay_takes_what_g107_says() -> None:
    assert rating("PCMU", 0, 150) == pytest.approx(93.2, abs=0.3)
    assert 93.2 - rating("PCMU", 0, 400) == pytest.approx(24, abs=1)


def test_the_worst_call_still_has_a_score() -> None:
    assert mos("G723", 1.0, 2000) == 1.0
