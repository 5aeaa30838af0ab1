"""Tones: written into a WAV file, found again in another."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8000
BESIDE_HZ = 12.0  # what a window smears


def write_tone(file: Path, hertz: float, seconds: float) -> Path:
    """Write a sine of half the full scale; return the file."""
    at = np.arange(int(RATE * seconds)) / RATE
    samples = np.round(16000 * np.sin(2 * np.pi * hertz * at)).astype("<i2")
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return file


def read(file: Path) -> NDArray[np.float64]:
    """Return the samples of a mono WAV file of 16 bits."""
    with wave.open(str(file), "rb") as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        assert sound.getframerate() == RATE
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float64)


def share(samples: NDArray[np.float64], hertz: float) -> float:
    """Return how much of the power is at a frequency, 0 to 1."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[np.abs(frequencies - hertz) < BESIDE_HZ].sum() / power.sum())
