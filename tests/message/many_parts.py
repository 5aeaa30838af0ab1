"""Bodies of several parts, as gateways send them."""

ISUP = b"Content-Type: application/ISUP;version=itu-t92+\r\n"


def parts(*contents: bytes, boundary: bytes = b"b1") -> bytes:
    """Join parts, header fields and all, by a boundary."""
    rows = [b"--" + boundary + b"\r\n" + one + b"\r\n" for one in contents]
    return b"".join((b"a preamble\r\n", *rows, b"--", boundary, b"--\r\n"))
