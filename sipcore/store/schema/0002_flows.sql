-- A device may register the same contact by several flows (RFC 5626): its instance is part of the key.

ALTER TABLE binding RENAME TO old_binding;
DROP INDEX binding_expires;

CREATE TABLE binding (
    customer       TEXT NOT NULL,
    extension      TEXT NOT NULL,
    contact        TEXT NOT NULL,
    instance       TEXT NOT NULL,
    transport      TEXT NOT NULL,
    local_address  TEXT NOT NULL,
    local_port     INTEGER NOT NULL,
    remote_address TEXT NOT NULL,
    remote_port    INTEGER NOT NULL,
    call_id        TEXT NOT NULL,
    cseq           INTEGER NOT NULL,
    expires_at     REAL NOT NULL, -- seconds since 1970, UTC
    q              REAL NOT NULL,
    user_agent     TEXT NOT NULL,
    path           TEXT NOT NULL,
    PRIMARY KEY (customer, extension, contact, instance)
) STRICT, WITHOUT ROWID;
CREATE INDEX binding_expires ON binding (expires_at);

INSERT INTO binding SELECT * FROM old_binding;
DROP TABLE old_binding;
