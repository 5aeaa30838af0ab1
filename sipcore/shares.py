"""What media workers count: fields of their totals, and the metrics that those become."""

from msgspec import Struct

from sipcore.metric import Definition, Kind


class Share(Struct, frozen=True):
    """A field of a worker's totals and its metric; a value times `scale` has the metric's unit."""

    field: str
    definition: Definition
    scale: float = 1.0


def _share(field: str, name: str, kind: Kind, text: str, unit: str, scale: float = 1.0) -> Share:
    labels = {"process": ("media-N",)}
    return Share(field, Definition(name, kind, text, unit, labels, counted="media"), scale)


_MS = 0.001
_C: Kind = "counter"
_G: Kind = "gauge"
_PACKETS = "packets"
_RECORDINGS = "recordings"

MEDIA = (
    _share("calls", "sipcore_media_calls", _G, "Calls now", "calls"),
    _share("streams", "sipcore_media_streams", _G, "Streams now", "streams"),
    _share("packets_received", "sipcore_rtp_packets", _C, "RTP packets received", _PACKETS),
    _share("octets_received", "sipcore_rtp_bytes", _C, "Bytes of RTP received", "bytes"),
    _share("packets_sent", "sipcore_rtp_packets_sent", _C, "RTP packets sent", _PACKETS),
    _share("lost", "sipcore_rtp_packets_lost", _C, "RTP packets that never came", _PACKETS),
    _share(
        "foreign", "sipcore_rtp_foreign_packets", _C, "Packets of wrong sources, dropped", _PACKETS
    ),
    _share(
        "invalid", "sipcore_rtp_invalid_packets", _C, "Datagrams that are no RTP, dropped", _PACKETS
    ),
    _share(
        "unsent", "sipcore_rtp_unsent_packets", _C, "Packets that the kernel did not take", _PACKETS
    ),
    _share("rtcp_received", "sipcore_rtcp_packets", _C, "RTCP packets received", _PACKETS),
    _share("rtcp_sent", "sipcore_rtcp_packets_sent", _C, "RTCP packets sent", _PACKETS),
    _share(
        "batches", "sipcore_media_batches", _C, "Batches in which packets were taken", "batches"
    ),
    _share(
        "greatest_batch", "sipcore_media_greatest_batch", _G, "Most packets in one batch", _PACKETS
    ),
    _share("ticks", "sipcore_media_ticks", _C, "Turns of the worker's clock", "ticks"),
    _share(
        "ticks_late_s",
        "sipcore_media_ticks_late_seconds",
        _C,
        "By how much all ticks were late, together",
        "seconds",
    ),
    _share(
        "greatest_late_ms",
        "sipcore_media_greatest_late_seconds",
        _G,
        "Worst lateness of a tick since the worker's start",
        "seconds",
        _MS,
    ),
    _share(
        "jitter_ms",
        "sipcore_media_jitter_seconds",
        _G,
        "Mean jitter of the streams now (RFC 3550)",
        "seconds",
        _MS,
    ),
    _share(
        "delay_ms",
        "sipcore_media_delay_seconds",
        _G,
        "Mean delay that jitter buffers add now",
        "seconds",
        _MS,
    ),
    _share(
        "greatest_delay_ms",
        "sipcore_media_greatest_delay_seconds",
        _G,
        "Greatest delay that a jitter buffer adds now",
        "seconds",
        _MS,
    ),
    _share(
        "late",
        "sipcore_rtp_late_packets",
        _C,
        "Packets that came after their successors had been played",
        _PACKETS,
    ),
    _share(
        "overflowed",
        "sipcore_rtp_overflowed_packets",
        _C,
        "Packets that found their jitter buffer full",
        _PACKETS,
    ),
    _share(
        "tones",
        "sipcore_media_tones",
        _C,
        "Ringback tones begun for who had early media and heard nothing",
        "tones",
    ),
    _share("recordings", "sipcore_recordings_active", _G, "Recordings now", _RECORDINGS),
    _share("recordings_finished", "sipcore_recordings", _C, "Recordings finished", _RECORDINGS),
    _share(
        "recordings_degraded",
        "sipcore_recordings_degraded",
        _C,
        "Recordings finished of which a part is missing",
        _RECORDINGS,
    ),
    _share(
        "recordings_stopped",
        "sipcore_recordings_stopped",
        _C,
        "Recordings that the disk refused",
        _RECORDINGS,
    ),
    _share("recorded_octets", "sipcore_recorded_bytes", _C, "Recorded to disk", "bytes"),
)
