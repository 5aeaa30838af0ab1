"""What is said on the SIP side, and what goes wrong there."""

from deploy.dashboards.board import Board, Graph, Line


def rate(metric: str, by: str, labels: str = "") -> str:
    """Return a counter's rise a second over all nodes, a line for each value of `by`."""
    chosen = f"@,{labels}" if labels else "@"
    return f"sum by ({by}) (rate({metric}{{{chosen}}}[$__rate_interval]))"


def messages(by: str, labels: str) -> str:
    return rate("sipcore_messages_total", by, labels)


TRAFFIC = (
    Graph(
        "Requests received",
        "By method, repeated ones included.",
        "mps",
        (Line(messages("method", 'direction="in",class="request"'), "{{method}}"),),
    ),
    Graph(
        "Requests sent",
        "By method, repeated ones included.",
        "mps",
        (Line(messages("method", 'direction="out",class="request"'), "{{method}}"),),
    ),
    Graph(
        "Responses sent",
        "By class. 4xx contains the 401 that begins every sign-in.",
        "mps",
        (Line(messages("class", 'direction="out",class!="request"'), "{{class}}"),),
    ),
    Graph(
        "Responses received",
        "By class: what phones, PBXs and carriers said to us.",
        "mps",
        (Line(messages("class", 'direction="in",class!="request"'), "{{class}}"),),
    ),
    Graph(
        "Transactions and dialogs now",
        "A transaction stays for up to 32 s after its end (RFC 3261 17), so this follows traffic"
        " with a delay. What rises while calls do not is a leak.",
        "short",
        (
            Line("sum(sipcore_transactions{@})", "transactions"),
            Line("sum(sipcore_dialogs{@})", "dialogs"),
            Line("sum(sipcore_tasks{@})", "tasks"),
        ),
    ),
)

REGISTRATIONS = (
    Graph(
        "REGISTERs, by result",
        "challenged is the first half of a sign-in; refused: a wrong password or a request that"
        " cannot be met; throttled: over limits.registers_per_s.",
        "reqps",
        (Line(rate("sipcore_registrations_total", "result"), "{{result}}"),),
    ),
    Graph(
        "Wrong passwords",
        "Requests signed wrongly. A few are phones set up wrongly; many are somebody who guesses.",
        "reqps",
        (Line(rate("sipcore_wrong_credentials_total", "method"), "{{method}}"),),
    ),
    Graph(
        "Registrations not stored",
        "1 while the database takes none. Phones go on working; a restart would forget the newest.",
        "short",
        (Line("max by (instance) (sipcore_store_fault{@})", "{{instance}}"),),
    ),
)

SUBSCRIPTIONS = (
    Graph(
        "Subscriptions now",
        "Busy lamps (dialog), message lights, presence, registrations. They are gone after a"
        " restart and come back within 10 minutes.",
        "short",
        (Line("sum by (package) (sipcore_subscriptions{@})", "{{package}}"),),
    ),
    Graph(
        "SUBSCRIBEs, by result",
        "challenged is the first half of a sign-in. Many refused: a phone that watches what it may"
        " not, or an extension that is no more.",
        "reqps",
        (Line(rate("sipcore_subscribes_total", "result"), "{{result}}"),),
    ),
    Graph(
        "NOTIFYs, by result",
        "unheard: no answer for 32 s, mostly a phone that was switched off.",
        "reqps",
        (Line(rate("sipcore_notifies_total", "result"), "{{result}}"),),
    ),
)

TROUBLE = (
    Graph(
        "Retransmissions",
        "out: we repeat since no answer came; in: the peer repeats since ours did not reach it."
        " Either is a network that loses datagrams, or somebody too slow.",
        "mps",
        (Line(rate("sipcore_retransmissions_total", "direction"), "{{direction}}"),),
    ),
    Graph(
        "Transactions that failed",
        "Nobody answered in time, or the connection was gone.",
        "short",
        (Line(rate("sipcore_transaction_failures_total", "reason"), "{{reason}}"),),
    ),
    Graph(
        "Bad messages",
        "unreadable: no SIP at all; broken: against the grammar; bug: ours, see the log.",
        "mps",
        (Line(rate("sipcore_bad_messages_total", "reason"), "{{reason}}"),),
    ),
    Graph(
        "Messages without a place",
        "Answers and ACKs that belong to nothing any more. A few are normal after repeats.",
        "mps",
        (Line("sum(rate(sipcore_absorbed_messages_total{@}[$__rate_interval]))", "absorbed"),),
    ),
    Graph(
        "Guards",
        "Requests that were not served: known scanners, INVITEs and REGISTERs above their rates,"
        " messages of banned or greedy sources (unread), and 503 because the node was overloaded.",
        "reqps",
        (
            Line("sum(rate(sipcore_scanners_dropped_total{@}[$__rate_interval]))", "scanners"),
            Line("sum(rate(sipcore_throttled_total{@}[$__rate_interval]))", "INVITEs"),
            Line(
                'sum(rate(sipcore_registrations_total{@,result="throttled"}[$__rate_interval]))',
                "REGISTERs",
            ),
            Line(rate("sipcore_guard_dropped_total", "reason"), "unread: {{reason}}"),
            Line("sum(rate(sipcore_shed_total{@}[$__rate_interval]))", "overload"),
        ),
    ),
)

SIP = Board(
    "sipcore-sip",
    "sipcore: SIP",
    "Messages, registrations, and what goes wrong with them.",
    (
        ("Messages", TRAFFIC),
        ("Registrations", REGISTRATIONS),
        ("Watching", SUBSCRIPTIONS),
        ("Trouble", TROUBLE),
    ),
)
