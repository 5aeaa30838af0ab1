"""The head of our WAV files: two channels of 16-bit linear sound at 8 kHz. No numpy: signalling
repairs such files, too."""

import struct

RATE = 8000
CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
HEADER_BYTES = 44
MOST_FRAMES = (0xFFFFFFFF - HEADER_BYTES) // FRAME_BYTES  # 37 hours: sizes have 32 bits


def header(frames: int) -> bytes:
    """Return the 44 octets before so many frames, a sample of each channel every one."""
    octets = frames * FRAME_BYTES
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", octets + HEADER_BYTES - 8, b"WAVE"),
        *(b"fmt ", 16, 1, CHANNELS, RATE, RATE * FRAME_BYTES, FRAME_BYTES, 16),
        *(b"data", octets),
    )


def place(frame: int) -> int:
    """Return where in the file a frame begins."""
    return HEADER_BYTES + frame * FRAME_BYTES


def frames_in(size: int) -> int:
    """Return how many whole frames a file of `size` octets has, whatever its header says."""
    return min(max(size - HEADER_BYTES, 0) // FRAME_BYTES, MOST_FRAMES)
