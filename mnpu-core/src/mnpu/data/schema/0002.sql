-- Version 2: observations of a symbol, the basis of every row, and a record of every import.

ALTER TABLE prices ADD COLUMN
    basis TEXT NOT NULL DEFAULT 'declared' CHECK (basis IN ('observed', 'declared', 'left-censored'));

ALTER TABLE corporate_actions ADD COLUMN
    basis TEXT NOT NULL DEFAULT 'declared' CHECK (basis IN ('observed', 'declared', 'left-censored'));

CREATE TABLE observations_by_symbol (
    series         TEXT NOT NULL REFERENCES series (series),
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    value          REAL NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (series, symbol, event_time, knowledge_time),
    CHECK (knowledge_time >= event_time)
) STRICT, WITHOUT ROWID;

INSERT INTO observations_by_symbol
    SELECT series, '', event_time, knowledge_time, value, basis FROM observations
    ORDER BY series, event_time, knowledge_time;

DROP TABLE observations;

ALTER TABLE observations_by_symbol RENAME TO observations;

CREATE TABLE imports (
    imported_at    INTEGER NOT NULL,
    file_sha256    TEXT NOT NULL,
    mapping_sha256 TEXT NOT NULL,
    file           TEXT NOT NULL,
    target         TEXT NOT NULL CHECK (target IN ('prices', 'observations', 'corporate_actions')),
    n_read         INTEGER NOT NULL,
    n_taken        INTEGER NOT NULL,
    n_present      INTEGER NOT NULL,
    n_refused      INTEGER NOT NULL,
    PRIMARY KEY (imported_at, file_sha256, mapping_sha256),
    CHECK (n_read = n_taken + n_present + n_refused)
) STRICT, WITHOUT ROWID;
