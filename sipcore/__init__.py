"""sipcore: a hosted-voice switch. Start reading at README.md, then ARCHITECTURE.md."""

__version__ = "0.1.0"
