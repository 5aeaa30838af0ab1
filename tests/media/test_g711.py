"""The tables against the formulas of ITU-T G.711."""

import numpy as np
import pytest

from sipcore.media.g711 import A_LAW, LINEAR, MU_LAW, decode


def mu_law(code: int) -> int:
    """Table 2a/2b: 14 bits, segment E and step M of the inverted code, in 16 bits."""
    code ^= 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    size = ((2 * mantissa + 33) << exponent) - 33
    return (-size if code & 0x80 else size) * 4


def a_law(code: int) -> int:
    """Table 1a/1b: 13 bits, even bits inverted, in 16 bits."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    size = 2 * mantissa + 1 if exponent == 0 else (2 * mantissa + 33) << (exponent - 1)
    return (size if code & 0x80 else -size) * 8


def test_every_code_is_what_the_recommendation_says() -> None:
    assert LINEAR[MU_LAW].tolist() == [mu_law(code) for code in range(256)]
    assert LINEAR[A_LAW].tolist() == [a_law(code) for code in range(256)]


@pytest.mark.parametrize(
    ("law", "code", "sample"),
    [
        (MU_LAW, 0x00, -32124),
        (MU_LAW, 0x80, 32124),
        (MU_LAW, 0xFF, 0),
        (A_LAW, 0x2A, -32256),
        (A_LAW, 0xAA, 32256),
        (A_LAW, 0xD5, 8),
    ],
)
def test_the_loudest_and_the_softest(law: int, code: int, sample: int) -> None:
    assert LINEAR[law, code] == sample


def test_rows_of_both_laws_are_decoded_at_once() -> None:
    octets = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    samples = decode(octets, np.array([A_LAW, MU_LAW, A_LAW]))
    assert samples.dtype == np.int16
    assert (samples == LINEAR[[A_LAW, MU_LAW, A_LAW]]).all()
