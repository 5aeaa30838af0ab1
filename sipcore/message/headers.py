"""Names of header fields: one spelling each, compact forms (RFC 3261 7.3.3), how many may stand."""

NAMES = (
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events",
    "Authentication-Info", "Authorization", "Call-ID", "Call-Info", "Contact",
    "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
    "Content-Type", "CSeq", "Date", "Diversion", "Error-Info", "Event", "Expires", "From",
    "History-Info", "Identity", "In-Reply-To", "Info-Package", "Join", "Max-Forwards",
    "MIME-Version", "Min-Expires", "Min-SE", "Organization", "P-Access-Network-Info",
    "P-Asserted-Identity", "P-Called-Party-ID", "P-Charging-Vector", "P-Early-Media",
    "P-Preferred-Identity", "Path", "Priority", "Privacy", "Proxy-Authenticate",
    "Proxy-Authorization", "Proxy-Require", "RAck", "RSeq", "Reason", "Record-Route",
    "Recv-Info", "Refer-To", "Referred-By", "Remote-Party-ID", "Replaces", "Reply-To",
    "Require", "Retry-After",
    "Route", "Server", "Service-Route", "Session-Expires", "SIP-ETag", "SIP-If-Match", "Subject",
    "Subscription-State", "Supported", "Timestamp", "To", "Unsupported", "User-Agent",
    "User-to-User", "Via", "Warning", "WWW-Authenticate", "X-Account",
)  # fmt: skip

COMPACT = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
    "e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported",
    "l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event", "r": "Refer-To",
    "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires",
    "y": "Identity",
}  # fmt: skip

# One lookup finds the usual spellings, the second any other mix of upper and lower case.
KNOWN = {name: name for name in NAMES}
KNOWN |= {name.lower(): name for name in NAMES}
KNOWN |= COMPACT | {short.upper(): name for short, name in COMPACT.items()}

METHODS = frozenset(
    ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "INFO", "MESSAGE", "PRACK", "UPDATE",
     "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH")
)  # fmt: skip

SINGLE = frozenset(
    ("Call-ID", "Content-Length", "Content-Type", "CSeq", "Expires", "From", "Max-Forwards", "To",
     "Event", "Min-Expires", "Min-SE", "Session-Expires", "RAck", "RSeq", "Refer-To")
)  # fmt: skip


def canonical(name: str) -> str:
    """Return the one spelling of a header name; unknown ones get Capitals-After-Dashes."""
    known = KNOWN.get(name) or KNOWN.get(name.lower())
    return known or "-".join(part.capitalize() for part in name.split("-"))
