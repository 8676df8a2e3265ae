-- The store of MNPU, version 1. docs/sqlite_schema.md explains it.
-- Instants are integers: nanoseconds since 1970-01-01 UTC. Missing is NULL.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE datasets (
    name           TEXT PRIMARY KEY,
    vendor         TEXT NOT NULL,
    frequency      TEXT NOT NULL,
    stamp          TEXT NOT NULL CHECK (stamp IN ('session_date', 'open', 'close')),
    adjustment     TEXT NOT NULL CHECK (adjustment IN ('none', 'split', 'split+dividend')),
    adjusted_as_of TEXT NOT NULL,
    calendar       TEXT NOT NULL,
    currency       TEXT NOT NULL,
    licence        TEXT NOT NULL,
    note           TEXT NOT NULL,
    CHECK ((adjustment = 'none') = (adjusted_as_of = ''))
) STRICT, WITHOUT ROWID;

CREATE TABLE assets (
    dataset   TEXT NOT NULL REFERENCES datasets (name),
    symbol    TEXT NOT NULL,
    first_bar INTEGER NOT NULL,
    last_bar  INTEGER NOT NULL,
    n_bars    INTEGER NOT NULL CHECK (n_bars > 0),
    PRIMARY KEY (dataset, symbol),
    CHECK (first_bar <= last_bar)
) STRICT, WITHOUT ROWID;

CREATE TABLE prices (
    dataset        TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    open           REAL,
    high           REAL,
    low            REAL,
    close          REAL NOT NULL,
    adj_close      REAL,
    volume         REAL,
    PRIMARY KEY (dataset, symbol, event_time, knowledge_time),
    FOREIGN KEY (dataset, symbol) REFERENCES assets (dataset, symbol),
    CHECK (knowledge_time >= event_time)
) STRICT, WITHOUT ROWID;

CREATE TABLE corporate_actions (
    dataset        TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind = 'split'),
    ratio          REAL NOT NULL CHECK (ratio > 0),
    source         TEXT NOT NULL,
    PRIMARY KEY (dataset, symbol, event_time, knowledge_time, kind),
    FOREIGN KEY (dataset, symbol) REFERENCES assets (dataset, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE series (
    series      TEXT PRIMARY KEY,
    frequency   TEXT NOT NULL,
    unit        TEXT NOT NULL,
    basis       TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    release_lag TEXT NOT NULL,
    max_age     INTEGER NOT NULL CHECK (max_age > 0),
    source      TEXT NOT NULL,
    licence     TEXT NOT NULL,
    note        TEXT NOT NULL,
    n_missing   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE observations (
    series         TEXT NOT NULL REFERENCES series (series),
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    value          REAL NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (series, event_time, knowledge_time),
    CHECK (knowledge_time >= event_time)
) STRICT, WITHOUT ROWID;
