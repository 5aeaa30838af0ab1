"""Is it well, and what does it do: the first page to look at."""

from deploy.dashboards.board import Board, Figure, Graph, Line


def setup_share(share: float) -> str:
    """Return the set-up time that so many of the calls do not exceed."""
    buckets = "rate(sipcore_call_setup_seconds_bucket{@}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by (le) ({buckets}))"


ANSWERED = 'sum(rate(sipcore_calls_total{@,cause_class="answered"}[$__rate_interval]))'
ENDED = "sum(rate(sipcore_calls_total{@}[$__rate_interval]))"

NOW = (
    Figure(
        "Nodes taking calls",
        "Nodes that are ready. Below the number of nodes you run: see Why not ready.",
        "short",
        (Line("sum(sipcore_ready{@})", "ready"),),
    ),
    Figure(
        "Calls being talked",
        "Answered calls now.",
        "short",
        (Line('sum(sipcore_calls_active{@,state="answered"})', "calls"),),
    ),
    Figure(
        "Calls ended a second",
        "Attempts of any outcome.",
        "cps",
        (Line(ENDED, "calls"),),
    ),
    Figure(
        "Answer ratio",
        "Answered attempts of all that ended. People who are busy or not there count against it,"
        " so look at how it moves, not at how high it is.",
        "percentunit",
        (Line(f"{ANSWERED} / {ENDED}", "answered"),),
    ),
    Figure(
        "Contacts registered",
        "Phones and PBXs that can be called now.",
        "short",
        (Line("sum(sipcore_bindings{@})", "contacts"),),
    ),
    Figure(
        "Disk free",
        "The fullest of the nodes' data folders.",
        "percentunit",
        (Line("min(sipcore_data_free_bytes{@} / sipcore_data_size_bytes{@})", "free"),),
    ),
)

CALLS = (
    Graph(
        "Calls now",
        "Calls by state, and the most that the nodes take (limits.calls). At the limit new calls"
        " get 503.",
        "short",
        (
            Line("sum by (state) (sipcore_calls_active{@})", "{{state}}"),
            Line("sum(sipcore_calls_limit{@})", "limit"),
        ),
    ),
    Graph(
        "Calls ended, by cause",
        "Why attempts ended. failed: we or a carrier could not; refused: a rule or the callee;"
        " rejected: the request itself was at fault.",
        "cps",
        (
            Line(
                "sum by (cause_class) (rate(sipcore_calls_total{@}[$__rate_interval]))",
                "{{cause_class}}",
            ),
        ),
    ),
    Graph(
        "Answer ratio, by direction",
        "Answered attempts of all that ended.",
        "percentunit",
        (
            Line(
                "sum by (direction)"
                ' (rate(sipcore_calls_total{@,cause_class="answered"}[$__rate_interval]))'
                " / sum by (direction) (rate(sipcore_calls_total{@}[$__rate_interval]))",
                "{{direction}}",
            ),
        ),
        most=1,
    ),
    Graph(
        "Set-up time",
        "From an INVITE to the first ringing or answer that its caller hears. It contains what"
        " carriers and phones take.",
        "s",
        (
            Line(setup_share(0.5), "half of the calls"),
            Line(setup_share(0.95), "95 %"),
            Line(setup_share(0.99), "99 %"),
        ),
    ),
    Graph(
        "Slots in use",
        "Concurrency taken of all channels that carriers and trunks have; calls of limits.calls.",
        "percentunit",
        (
            Line(
                "sum by (kind) (sipcore_slots{@}) / sum by (kind) (sipcore_slots_limit{@})",
                "{{kind}}",
            ),
            Line("sum(sipcore_calls_active{@}) / sum(sipcore_calls_limit{@})", "calls"),
        ),
    ),
    Graph(
        "Contacts registered, by node",
        "A sudden fall means that a network or a node lost its phones.",
        "short",
        (Line("sum by (instance) (sipcore_bindings{@})", "{{instance}}"),),
    ),
)

HEALTH = (
    Graph(
        "Why not ready",
        "1 while this reason keeps a node from taking calls.",
        "short",
        (Line("max by (instance, reason) (sipcore_not_ready{@})", "{{instance}} {{reason}}"),),
    ),
    Graph(
        "CPU of each process",
        "1 is one core, and more than that a process cannot use: signalling and each media worker"
        " begin to be late near 0.9.",
        "percentunit",
        (
            Line(
                "max by (process) (rate(sipcore_cpu_seconds_total{@}[$__rate_interval]))",
                "{{process}}",
            ),
        ),
    ),
    Graph(
        "Memory of each process",
        "Resident bytes; the greatest over the nodes.",
        "bytes",
        (Line("max by (process) (sipcore_resident_bytes{@})", "{{process}}"),),
    ),
    Graph(
        "Event loop lag",
        "How late signalling did what was due, in 99 % and in half of the cases. Above 0.1 s"
        " phones begin to repeat themselves.",
        "s",
        tuple(
            Line(
                f"histogram_quantile({share}, sum by (le)"
                " (rate(sipcore_loop_lag_seconds_bucket{@}[$__rate_interval])))",
                name,
            )
            for share, name in ((0.99, "99 %"), (0.5, "half"))
        ),
    ),
    Graph(
        "Journal: time to disk",
        "What a write with fsync takes; every answer waits for one.",
        "s",
        tuple(
            Line(
                f"histogram_quantile({share}, sum by (le)"
                " (rate(sipcore_journal_sync_seconds_bucket{@}[$__rate_interval])))",
                name,
            )
            for share, name in ((0.99, "99 %"), (0.5, "half"))
        ),
    ),
    Graph(
        "Journal: not on disk",
        "CDRs given to the journal a second; bytes of it that wait; groups that the disk refused.",
        "short",
        (
            Line("sum(rate(sipcore_cdrs_total{@}[$__rate_interval]))", "CDRs a second"),
            Line("sum(sipcore_journal_unwritten_bytes{@})", "bytes waiting"),
            Line("sum(increase(sipcore_journal_errors_total{@}[$__rate_interval]))", "refused"),
        ),
    ),
    Graph(
        "Processes started again",
        "A process that died was restarted. Its calls may have ended.",
        "short",
        (
            Line(
                "sum by (instance, process)"
                " (increase(sipcore_restarts_total{@}[$__rate_interval]))",
                "{{instance}} {{process}}",
            ),
        ),
    ),
    Graph(
        "Open files",
        "Descriptors: two sockets a stream in a media worker. LimitNOFILE of the unit is the most.",
        "short",
        (Line("max by (process) (sipcore_open_files{@})", "{{process}}"),),
    ),
    Graph(
        "Uptime",
        "Since signalling started.",
        "s",
        (Line("time() - sipcore_start_time_seconds{@}", "{{instance}}"),),
    ),
)

OVERVIEW = Board(
    "sipcore-overview",
    "sipcore: overview",
    "Calls, registrations and the health of the nodes.",
    (("Now", NOW), ("Calls", CALLS), ("Health", HEALTH)),
)
