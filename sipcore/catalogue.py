"""Every metric that a node has. What counts takes its definition from here, and docs/metrics.md is
written from here (`make docs`). Those of media workers are in shares.py.
"""

from sipcore.metric import NO_LABELS, Definition, Kind, Labels
from sipcore.shares import MEDIA

METHODS = (
    *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK"),
    *("PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
)
MESSAGE_CLASSES = ("request", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx")
CALL_STATES = ("setup", "ringing", "answered")
DIRECTIONS = ("internal", "outbound", "inbound")
STREAMS = ("tcp", "tls", "ws", "wss")
CONNECTION_FAULTS = ("limit", "handshake", "framing", "slow", "idle", "unread")
CAUSES = (
    "answered",
    "busy",
    "cancelled",
    "failed",
    "no_answer",
    "redirected",
    "refused",
    "rejected",
    "unknown_number",
)
REGISTRATIONS = ("registered", "removed", "queried", "challenged", "refused", "throttled")
TRUNK_REGISTERED = ("registered", "removed", "refused", "unanswered")
EVENT_PACKAGES = ("message-summary", "dialog", "reg", "presence")
SUBSCRIBES = (
    *("accepted", "refreshed", "ended", "fetched", "challenged", "wrong", "refused"),
    "throttled",
)
UNREADY = ("starting", "draining", "journal", "media")
PROCESSES = ("supervisor", "signalling", "web", "media-N")

_FAST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_SYNC_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)


_defined: list[Definition] = []


def _define(definition: Definition) -> Definition:
    _defined.append(definition)
    return definition


def _counter(name: str, text: str, unit: str, labels: Labels = NO_LABELS) -> Definition:
    return _define(Definition(name, "counter", text, unit, labels))


def _gauge(name: str, text: str, unit: str, labels: Labels = NO_LABELS) -> Definition:
    return _define(Definition(name, "gauge", text, unit, labels))


def _histogram(name: str, text: str, buckets: tuple[float, ...]) -> Definition:
    return _define(Definition(name, "histogram", text, "seconds", buckets=buckets))


def _process(name: str, kind: Kind, text: str, unit: str) -> Definition:
    labels = {"process": PROCESSES}
    return _define(Definition(name, kind, text, unit, labels, counted="web"))


def _disk(name: str, text: str) -> Definition:
    return _define(Definition(name, "gauge", text, "bytes", counted="web"))


# The node

INFO = _gauge(
    "sipcore_info",
    "Always 1; says which node and version this is",
    "none",
    {"node": ("node.name",), "version": ("sipcore's version",)},
)
STARTED = _gauge("sipcore_start_time_seconds", "When signalling started, since 1970", "seconds")
READY = _gauge("sipcore_ready", "1 while calls are taken", "none")
NOT_READY = _gauge(
    "sipcore_not_ready",
    "1 for each reason why no call is taken now",
    "none",
    {"reason": UNREADY},
)
RELOAD = _gauge(
    "sipcore_reload_seconds",
    "The last import: making what calls are decided on (build, in a process of its own), and"
    " taking it over (loop, in parts)",
    "seconds",
    {"part": ("build", "loop")},
)
TASKS = _gauge("sipcore_tasks", "Tasks on the event loop now", "tasks")
LOOP_LAG = _histogram(
    "sipcore_loop_lag_seconds",
    "How late the event loop ran what was due",
    _LAG_S,
)

# Calls

CALLS = _counter(
    "sipcore_calls",
    "Attempts that ended, by the final status that the caller got",
    "calls",
    {"direction": DIRECTIONS, "cause_class": CAUSES},
)
CALLS_ACTIVE = _gauge(
    "sipcore_calls_active", "Calls now, by state", "calls", {"state": CALL_STATES}
)
CALLS_LIMIT = _gauge("sipcore_calls_limit", "Most calls at once (limits.calls)", "calls")
CALL_SETUP = _histogram(
    "sipcore_call_setup_seconds",
    "From an INVITE to its first 18x or 2xx towards the caller",
    _FAST_S,
)
SILENCES = _counter(
    "sipcore_call_silences",
    "Sides of answered calls from which no sound came for media.silence_s",
    "sides",
)
MOVED_CALLS = _counter(
    "sipcore_media_moved_calls",
    "Calls whose media went on at another media worker, or its next process",
    "calls",
)
SLOTS = _gauge(
    "sipcore_slots",
    "Slots of concurrency taken now",
    "slots",
    {"kind": ("account", "trunk", "carrier")},
)
SLOTS_LIMIT = _gauge(
    "sipcore_slots_limit",
    "Channels of all that are provisioned, together",
    "slots",
    {"kind": ("trunk", "carrier")},
)

# Registrations

REGISTERED = _counter(
    "sipcore_registrations",
    "REGISTERs that ended, by result",
    "requests",
    {"result": REGISTRATIONS},
)
BINDINGS = _gauge("sipcore_bindings", "Contacts registered now", "contacts")
STORE_FAULT = _gauge("sipcore_store_fault", "1 while the database takes no registrations", "none")
WRONG_CREDENTIALS = _counter(
    "sipcore_wrong_credentials",
    "Requests signed with a wrong user or password",
    "requests",
    {"method": ("REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE")},
)
SUBSCRIBED = _counter(
    "sipcore_subscribes",
    "SUBSCRIBEs that ended, by result",
    "requests",
    {"result": SUBSCRIBES},
)
SUBSCRIPTIONS = _gauge(
    "sipcore_subscriptions",
    "Subscriptions now, by event package",
    "subscriptions",
    {"package": EVENT_PACKAGES},
)
NOTIFIED = _counter(
    "sipcore_notifies",
    "NOTIFYs that ended: told (2xx), unheard (no answer for 32 s), refused",
    "requests",
    {"result": ("told", "unheard", "refused")},
)

# Carriers

TRUNK_REGISTRATIONS = _counter(
    "sipcore_trunk_registrations",
    "REGISTERs of ours that ended, at carriers that want to be registered with",
    "requests",
    {"result": TRUNK_REGISTERED},
)
HEALTH_CHECKS = _counter(
    "sipcore_health_checks",
    "OPTIONS of ours to carriers and trunks: answered (alive) or not (dead)",
    "requests",
    {"result": ("alive", "dead")},
)
CARRIERS = _gauge(
    "sipcore_carriers",
    "Carriers by how they stand now: what is not good is tried after the others",
    "carriers",
    {"state": ("good", "trial", "demoted", "unregistered", "down")},
)
TRUNKS_DOWN = _gauge(
    "sipcore_trunks_down", "Customers' trunks that do not answer OPTIONS now", "trunks"
)
CARRIER_DEMOTIONS = _counter(
    "sipcore_carrier_demotions",
    "Times that a carrier was demoted for what became of its calls",
    "demotions",
)

# SIP

MESSAGES = _counter(
    "sipcore_messages",
    "SIP messages, retransmissions included",
    "messages",
    {"direction": ("in", "out"), "method": (*METHODS, "other"), "class": MESSAGE_CLASSES},
)
RETRANSMISSIONS = _counter(
    "sipcore_retransmissions",
    "Messages sent again by a timer of ours (out), or answered again to a peer that repeats (in)",
    "messages",
    {"direction": ("in", "out")},
)
TRANSACTION_FAILURES = _counter(
    "sipcore_transaction_failures",
    "Transactions without an end: nobody answered in time, or the transport could not send",
    "transactions",
    {"reason": ("timeout", "transport")},
)
ABSORBED = _counter(
    "sipcore_absorbed_messages",
    "Messages and timers that had no place any more",
    "messages",
)
BAD_MESSAGES = _counter(
    "sipcore_bad_messages",
    "Messages that are no SIP (unreadable), break the grammar (broken), or met a bug of ours (bug)",
    "messages",
    {"reason": ("unreadable", "broken", "bug")},
)
SCANNERS_DROPPED = _counter(
    "sipcore_scanners_dropped", "Requests of known scanners, not answered", "requests"
)
THROTTLED = _counter(
    "sipcore_throttled",
    "INVITEs refused by the rate guard (limits.invites_per_s)",
    "requests",
)
SHED = _counter(
    "sipcore_shed",
    "New requests that a busy node refused unread (503), by who sent them",
    "requests",
    {"source": ("stranger", "known", "listed")},
)
ADMITTED_SHARE = _gauge(
    "sipcore_admitted_share", "Share of strangers' new requests that is let in", "none"
)
QUEUE_AGE = _gauge(
    "sipcore_queue_age_seconds",
    "How long SIP messages waited to be read, at least, in the last 0.1 s",
    "seconds",
)
GUARD_DROPPED = _counter(
    "sipcore_guard_dropped",
    "Messages dropped unread: of banned sources, or beyond a source's rate (guard.messages_per_s)",
    "messages",
    {"reason": ("banned", "rate")},
)
BANS = _gauge("sipcore_bans", "Sources banned now", "sources")
BANNED = _counter("sipcore_banned", "Bans since the start", "bans")
SIGN_INS_THROTTLED = _counter(
    "sipcore_sign_ins_throttled",
    "Passwords not looked at, because their source or user had failed too often just before",
    "requests",
)
DNS_LOOKUPS = _counter(
    "sipcore_dns_lookups",
    "Questions to name servers; stale: an old answer was used because none came in time",
    "questions",
    {"result": ("found", "empty", "failed", "stale")},
)
LARGE_REQUESTS = _counter(
    "sipcore_large_requests",
    "Requests above 1,300 bytes towards UDP peers: made smaller, sent over TCP, or in fragments",
    "requests",
    {"sent": ("shrunk", "tcp", "fragmented")},
)
AVOIDED_PLACES = _gauge(
    "sipcore_avoided_places", "Addresses of peers that failed of late and are tried last", "places"
)
CONNECTIONS = _gauge(
    "sipcore_connections",
    "Connections now, those in their handshake included",
    "connections",
    {"transport": STREAMS},
)
CONNECTIONS_ENDED = _counter(
    "sipcore_connections_ended",
    "Connections that were refused (limit) or ended for what the peer did or left undone",
    "connections",
    {"transport": STREAMS, "reason": CONNECTION_FAULTS},
)
CERTIFICATE_EXPIRES = _gauge(
    "sipcore_certificate_expires_seconds",
    "When the first of our TLS certificates expires, since 1970",
    "seconds",
    {"transport": ("tls", "wss")},
)
TRANSACTIONS = _gauge("sipcore_transactions", "SIP transactions now", "transactions")
DIALOGS = _gauge("sipcore_dialogs", "SIP dialogs now", "dialogs")

# The journal

CDRS = _counter("sipcore_cdrs", "CDRs given to the journal", "records")
JOURNAL_SYNC = _histogram(
    "sipcore_journal_sync_seconds",
    "Writing one group of journal lines to disk",
    _SYNC_S,
)
JOURNAL_ERRORS = _counter("sipcore_journal_errors", "Groups that the disk did not take", "groups")
JOURNAL_DROPPED = _counter(
    "sipcore_journal_dropped",
    "Lines of no answered call, given up while the disk took nothing",
    "lines",
)
JOURNAL_UNWRITTEN = _gauge(
    "sipcore_journal_unwritten_bytes", "Lines that are not on disk yet", "bytes"
)

# Processes and the machine

UP = _gauge(
    "sipcore_up",
    "1 while the process answers",
    "none",
    {"process": ("signalling", "media-N", "web")},
)
CPU = _process("sipcore_cpu_seconds", "counter", "User and system time", "seconds")
RESIDENT = _process("sipcore_resident_bytes", "gauge", "Memory in use", "bytes")
OPEN_FILES = _process("sipcore_open_files", "gauge", "Descriptors", "files")
RESTARTS = _process("sipcore_restarts", "counter", "Processes started again", "starts")
DATA_SIZE = _disk("sipcore_data_size_bytes", "Size of the file system of node.data")
DATA_FREE = _disk("sipcore_data_free_bytes", "What is free there for sipcore")

DEFINITIONS = (*_defined, *(share.definition for share in MEDIA))
