"""Tones: frequency, level and cadence are what the standard says, in either law."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sipcore.media.control import Tone
from sipcore.media.g711 import A_LAW, LINEAR, MU_LAW, RATE, decode, encode
from sipcore.media.tone import LEVEL_DBM0, SHAPES, packets


def sound(tone: Tone, law: int) -> NDArray[np.float64]:
    made = packets(tone, law)
    octets = made.reshape(1, -1)
    return decode(octets, np.array([law])).reshape(-1).astype(np.float64)


@pytest.mark.parametrize("law", [MU_LAW, A_LAW])
def test_every_octet_is_encoded_to_itself(law: int) -> None:
    octets = encode(LINEAR[law].astype(np.float64), law)
    assert (LINEAR[law][octets] == LINEAR[law]).all()


@pytest.mark.parametrize("law", [MU_LAW, A_LAW])
def test_what_is_encoded_is_the_nearest_there_is(law: int) -> None:
    wanted = np.arange(-32768, 32768)
    got = LINEAR[law][encode(wanted.astype(np.float64), law)].astype(np.int64)
    nearest = np.abs(LINEAR[law].astype(np.int64)[:, None] - wanted[::37]).min(axis=0)
    assert (np.abs(got - wanted)[::37] == nearest).all()


@pytest.mark.parametrize("law", [MU_LAW, A_LAW])
@pytest.mark.parametrize("tone", SHAPES)
def test_a_tone_has_its_frequency_and_its_level(tone: Tone, law: int) -> None:
    heard = sound(tone, law)[: round(SHAPES[tone].cadence_s[0][0] * RATE)]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    peak = int(spectrum.argmax())
    assert peak * RATE / len(heard) == pytest.approx(SHAPES[tone].hz, abs=3)
    assert spectrum[peak - 4 : peak + 5].sum() > 0.999 * spectrum.sum()
    rms = np.sqrt((heard**2).mean())
    full = 32767 / np.sqrt(2)
    assert 20 * np.log10(rms / full) + 3.14 == pytest.approx(LEVEL_DBM0, abs=0.5)


@pytest.mark.parametrize("law", [MU_LAW, A_LAW])
@pytest.mark.parametrize("tone", SHAPES)
def test_a_tone_is_on_and_off_as_its_cadence_says(tone: Tone, law: int) -> None:
    heard = np.abs(sound(tone, law))
    at = 0
    for on_s, off_s in SHAPES[tone].cadence_s:
        on, off = round(on_s * RATE), round(off_s * RATE)
        windows = heard[at : at + on].reshape(-1, 80)
        assert (windows.max(axis=1) > 5000).all(), "10 ms have 4.5 periods"
        assert (heard[at + on : at + on + off] <= 8).all()
        at += on + off
    assert at == len(heard)
