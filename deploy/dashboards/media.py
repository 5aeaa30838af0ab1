"""How the calls sound: streams, packets, loss, jitter, and the workers that carry them."""

from deploy.dashboards.board import Board, Graph, Line
from deploy.dashboards.sip import rate

RECEIVED = rate("sipcore_rtp_packets_total", "process")
LOST = rate("sipcore_rtp_packets_lost_total", "process")

SOUND = (
    Graph(
        "Loss",
        "RTP packets that never reached us, of all that were sent to us. Above 1 % people begin to"
        " hear it, above 5 % they complain.",
        "percentunit",
        (Line(f"{LOST} / ({RECEIVED} + {LOST})", "{{process}}"),),
    ),
    Graph(
        "Jitter and delay",
        "How unevenly packets arrive (RFC 3550, mean of the streams), and what the jitter buffers"
        " add to even it out: the mean, and the greatest.",
        "s",
        (
            Line("avg by (process) (sipcore_media_jitter_seconds{@})", "{{process}} jitter"),
            Line("avg by (process) (sipcore_media_delay_seconds{@})", "{{process}} delay"),
            Line(
                "max by (process) (sipcore_media_greatest_delay_seconds{@})",
                "{{process}} greatest delay",
            ),
        ),
    ),
    Graph(
        "Late packets",
        "late: came after their successors had been played; overflowed: found the jitter buffer"
        " full. Both are as good as lost.",
        "pps",
        (
            Line(rate("sipcore_rtp_late_packets_total", "process"), "{{process}} late"),
            Line(rate("sipcore_rtp_overflowed_packets_total", "process"), "{{process}} overflowed"),
        ),
    ),
    Graph(
        "Sides without sound",
        "Sides of answered calls from which nothing came for media.silence_s: often the one that"
        " the other cannot hear.",
        "short",
        (Line("sum(increase(sipcore_call_silences_total{@}[$__rate_interval]))", "sides"),),
    ),
)

TRAFFIC = (
    Graph(
        "Streams now",
        "A call with sound has two; one port pair each.",
        "short",
        (
            Line("sum by (process) (sipcore_media_streams{@})", "{{process}} streams"),
            Line("sum by (process) (sipcore_media_calls{@})", "{{process}} calls"),
        ),
    ),
    Graph(
        "RTP packets",
        "What comes goes on to the other side: the two lines of a worker lie on one another unless"
        " packets are dropped.",
        "pps",
        (
            Line(RECEIVED, "{{process}} in"),
            Line(rate("sipcore_rtp_packets_sent_total", "process"), "{{process}} out"),
        ),
    ),
    Graph(
        "RTP bandwidth received",
        "Without the headers of UDP, IP and Ethernet.",
        "bps",
        (Line(f"8 * {rate('sipcore_rtp_bytes_total', 'process')}", "{{process}}"),),
    ),
    Graph(
        "RTCP packets",
        "Reports about the sound, ours (out) and the peers' (in).",
        "pps",
        (
            Line(rate("sipcore_rtcp_packets_total", "process"), "{{process}} in"),
            Line(rate("sipcore_rtcp_packets_sent_total", "process"), "{{process}} out"),
        ),
    ),
    Graph(
        "Packets dropped",
        "foreign: from a source that the call does not have, perhaps injected; invalid: no RTP;"
        " unsent: the kernel did not take them.",
        "pps",
        (
            Line(rate("sipcore_rtp_foreign_packets_total", "process"), "{{process}} foreign"),
            Line(rate("sipcore_rtp_invalid_packets_total", "process"), "{{process}} invalid"),
            Line(rate("sipcore_rtp_unsent_packets_total", "process"), "{{process}} unsent"),
        ),
    ),
)

WORKERS = (
    Graph(
        "CPU",
        "1 is one core, and more a worker cannot use. Near 0.9 add workers (media.workers).",
        "percentunit",
        (
            Line(
                "max by (process)"
                ' (rate(sipcore_cpu_seconds_total{@,process=~"media-.*"}[$__rate_interval]))',
                "{{process}}",
            ),
        ),
    ),
    Graph(
        "Lateness of the tick",
        "By how much the worker's clock is late: the mean, and the worst since its start. All that"
        " is played is late by it.",
        "s",
        (
            Line(
                f"{rate('sipcore_media_ticks_late_seconds_total', 'process')}"
                f" / {rate('sipcore_media_ticks_total', 'process')}",
                "{{process}}",
            ),
            Line("max by (process) (sipcore_media_greatest_late_seconds{@})", "{{process}} worst"),
        ),
    ),
    Graph(
        "Packets a batch",
        "How many packets are handled at once: the mean, and the most since the start. More is"
        " cheaper; thousands mean that the worker cannot follow.",
        "short",
        (
            Line(f"{RECEIVED} / {rate('sipcore_media_batches_total', 'process')}", "{{process}}"),
            Line("max by (process) (sipcore_media_greatest_batch{@})", "{{process}} most"),
        ),
    ),
)

RECORDING = (
    Graph(
        "Recordings now",
        "Calls that are being recorded.",
        "short",
        (Line("sum by (process) (sipcore_recordings_active{@})", "{{process}}"),),
    ),
    Graph(
        "Recordings finished",
        "A minute's count; degraded: with a part missing; stopped: the disk refused them.",
        "short",
        tuple(
            Line(f"60 * sum(rate({metric}{{@}}[$__rate_interval]))", name)
            for metric, name in (
                ("sipcore_recordings_total", "finished"),
                ("sipcore_recordings_degraded_total", "degraded"),
                ("sipcore_recordings_stopped_total", "stopped"),
            )
        ),
    ),
    Graph(
        "Recorded",
        "What goes to disk.",
        "bps",
        (Line(f"8 * {rate('sipcore_recorded_bytes_total', 'process')}", "{{process}}"),),
    ),
)

MEDIA = Board(
    "sipcore-media",
    "sipcore: media",
    "Streams, packets, loss, jitter, the media workers, recordings.",
    (
        ("Sound", SOUND),
        ("Traffic", TRAFFIC),
        ("Workers", WORKERS),
        ("Recording", RECORDING),
    ),
)
