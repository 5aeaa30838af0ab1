"""G.711 and linear sound (ITU-T G.711, tables 1 and 2): a look-up, one table for both laws."""

import numpy as np
from numpy.typing import NDArray

RATE = 8000
MU_LAW, A_LAW = 0, 1  # rows of LINEAR

Samples = NDArray[np.int16]


def _mu_law() -> Samples:
    """All bits are sent inverted; 14-bit samples, as the upper bits of 16."""
    code = ~np.arange(256) & 255
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 128, -size, size).astype(np.int16)


def _a_law() -> Samples:
    """Every other bit is sent inverted; 13-bit samples, as the upper bits of 16."""
    code = np.arange(256) ^ 0x55
    segment, step = code >> 4 & 7, (code & 15) << 4
    size = np.where(segment, step + 264 << np.maximum(segment - 1, 0), step + 8)
    return np.where(code & 128, size, -size).astype(np.int16)


LINEAR: NDArray[np.int16] = np.stack((_mu_law(), _a_law()))
_FLAT = LINEAR.reshape(-1)


def decode(octets: NDArray[np.uint8], laws: NDArray[np.int64]) -> Samples:
    """Return the 16-bit samples of `octets` (n, m); `laws` (n,) has MU_LAW or A_LAW a row."""
    codes = octets.astype(np.uint16)
    codes += (laws.astype(np.uint16) << 8)[:, None]
    samples: Samples = np.take(_FLAT, codes)
    return samples


def encode(samples: NDArray[np.float64], law: int) -> NDArray[np.uint8]:
    """Return the octets (n,) of a law that are nearest to samples in 16-bit units (n,)."""
    codes = np.argsort(LINEAR[law], kind="stable")
    values = LINEAR[law][codes].astype(np.float64)
    between = (values[1:] + values[:-1]) / 2
    return codes[np.searchsorted(between, samples, side="right")].astype(np.uint8)
