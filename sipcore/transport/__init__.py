"""SOCKETS: bytes in and out."""
