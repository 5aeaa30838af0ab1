"""Logging: one line an event, `key=value`, to standard error. Secrets never pass through here."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def start(level: str = "INFO") -> None:
    """Send all log lines of this process to standard error."""
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr, force=True)


def logger(name: str) -> logging.Logger:
    """Return the logger of a module, named after its place in the house."""
    return logging.getLogger(name.removeprefix("sipcore."))
