"""The tables. What the rules keep unique is unique here too, except an e-mail address, which may be made to repeat."""

from __future__ import annotations

SCHEMA_VERSION = 1
"""Of the tables; a file with another one is refused."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS profiles (
    client_id INTEGER PRIMARY KEY,
    uuid TEXT UNIQUE,
    email TEXT,
    custom_id TEXT UNIQUE,
    phone TEXT,
    created TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS profiles_by_email ON profiles (email) WHERE email IS NOT NULL;
CREATE INDEX IF NOT EXISTS profiles_by_phone ON profiles (phone) WHERE phone IS NOT NULL;
CREATE TABLE IF NOT EXISTS aliases (uuid TEXT PRIMARY KEY, client_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aliases_by_client ON aliases (client_id);

CREATE TABLE IF NOT EXISTS tags (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    color TEXT NOT NULL,
    global INTEGER NOT NULL DEFAULT 0,
    removed REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS tags_by_name ON tags (name) WHERE removed IS NULL;
CREATE INDEX IF NOT EXISTS tags_removed ON tags (name, removed) WHERE removed IS NOT NULL;
CREATE TABLE IF NOT EXISTS tag_assignments (
    id INTEGER PRIMARY KEY,
    client_id INTEGER NOT NULL,
    tag_id INTEGER NOT NULL,
    UNIQUE (client_id, tag_id)
);
CREATE INDEX IF NOT EXISTS tag_assignments_by_tag ON tag_assignments (tag_id);

CREATE TABLE IF NOT EXISTS devices (
    push TEXT NOT NULL,
    device_id TEXT NOT NULL,
    client_id INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    version TEXT,
    data TEXT NOT NULL,
    PRIMARY KEY (push, device_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS devices_by_client ON devices (client_id);

CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    client_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    time INTEGER NOT NULL,
    params TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_client ON events (client_id, time);

CREATE TABLE IF NOT EXISTS transactions (
    uuid TEXT PRIMARY KEY,
    client_id INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    time INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS transactions_by_client ON transactions (client_id);

CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    client_id INTEGER,
    data TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_client ON records (client_id, kind);

CREATE TABLE IF NOT EXISTS export_rows (
    task_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (task_id, position)
) WITHOUT ROWID;
"""
