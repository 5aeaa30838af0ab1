"""One face over the ways to receive and send datagrams: fill rows, send rows."""
