"""The tables."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS profiles (
    client_id INTEGER PRIMARY KEY,
    uuid TEXT UNIQUE,
    email TEXT UNIQUE,
    custom_id TEXT UNIQUE,
    phone TEXT,
    created TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS profiles_by_phone ON profiles (phone) WHERE phone IS NOT NULL;

CREATE TABLE IF NOT EXISTS tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, color TEXT);
CREATE TABLE IF NOT EXISTS tag_assignments (
    id INTEGER PRIMARY KEY,
    client_id INTEGER NOT NULL,
    tag_id INTEGER NOT NULL,
    UNIQUE (client_id, tag_id)
);

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
