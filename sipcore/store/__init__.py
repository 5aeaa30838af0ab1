"""DISK: what an operator has provisioned, kept in SQLite, read as an immutable Book."""
