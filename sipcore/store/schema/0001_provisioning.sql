-- What an operator has provisioned, and who is registered. Keys and references are relational and
-- enforced here; what is only carried along is a JSON body (rows.py).

CREATE TABLE carrier (
    id   TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE customer (
    id     TEXT PRIMARY KEY,
    domain TEXT NOT NULL UNIQUE,
    body   TEXT NOT NULL
) STRICT;

CREATE TABLE account (
    id       TEXT PRIMARY KEY,
    customer TEXT NOT NULL REFERENCES customer (id),
    body     TEXT NOT NULL,
    UNIQUE (customer, id)
) STRICT;

CREATE TABLE number (
    number   TEXT PRIMARY KEY, -- +E.164
    customer TEXT NOT NULL,
    account  TEXT NOT NULL,
    position INTEGER NOT NULL, -- in the account; the first is its default display number
    body     TEXT NOT NULL,
    FOREIGN KEY (customer, account) REFERENCES account (customer, id)
) STRICT;

CREATE TABLE extension (
    customer TEXT NOT NULL,
    number   TEXT NOT NULL,
    account  TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (customer, number),
    FOREIGN KEY (customer, account) REFERENCES account (customer, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE trunk (
    id       TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    account  TEXT NOT NULL,
    body     TEXT NOT NULL,
    FOREIGN KEY (customer, account) REFERENCES account (customer, id)
) STRICT;

-- Who may sign in: digest hashes, no passwords (service.md section 1).
CREATE TABLE credential (
    customer      TEXT NOT NULL REFERENCES customer (id),
    user          TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('extension', 'trunk')),
    id            TEXT NOT NULL,
    realm         TEXT NOT NULL,
    md5           TEXT NOT NULL,
    md5_domain    TEXT NOT NULL,
    sha256        TEXT NOT NULL,
    sha256_domain TEXT NOT NULL,
    PRIMARY KEY (customer, user),
    UNIQUE (kind, customer, id)
) STRICT, WITHOUT ROWID;

-- Who is known by address. `entry` in its canonical form, so that equal ones collide.
CREATE TABLE peer (
    entry TEXT PRIMARY KEY,
    kind  TEXT NOT NULL CHECK (kind IN ('carrier', 'trunk')),
    id    TEXT NOT NULL
) STRICT;
CREATE INDEX peer_of ON peer (kind, id);

-- Contacts of extensions and of trunks that register, written behind (bindings.py).
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
    PRIMARY KEY (customer, extension, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX binding_expires ON binding (expires_at);
