"""Packets kept as they are, in the format of rtptools' rtpdump, which Wireshark reads as well.

For what the recorder cannot decode: nothing of it is lost.
"""

import struct

HEAD = b"#!rtpplay1.0 0.0.0.0/0\n"


def head(started_at: float) -> bytes:
    """Return the beginning of a file. `started_at`: UTC seconds, what the offsets count from."""
    seconds = int(started_at)
    return HEAD + struct.pack(">IIIHH", seconds, int((started_at - seconds) * 1e6), 0, 0, 0)


def entry(packet: bytes, offset_s: float) -> bytes:
    """Return one RTP packet with the time at which it was played."""
    offset_ms = min(max(round(offset_s * 1000), 0), 0xFFFFFFFF)
    return struct.pack(">HHI", len(packet) + 8, len(packet), offset_ms) + packet
