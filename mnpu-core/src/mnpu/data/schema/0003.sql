-- Version 3: events that were called off or moved, and several dividends of one share on one day.

ALTER TABLE calendar_events ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled IN (0, 1));

CREATE TABLE actions (
    dataset        TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('split', 'dividend')),
    label          TEXT NOT NULL DEFAULT '',
    ratio          REAL CHECK (ratio > 0),
    amount         REAL CHECK (amount >= 0),
    source         TEXT NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (dataset, symbol, event_time, knowledge_time, kind, label),
    FOREIGN KEY (dataset, symbol) REFERENCES assets (dataset, symbol),
    CHECK (kind <> 'split' OR ratio IS NOT NULL),
    CHECK (kind <> 'dividend' OR amount IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO actions
    SELECT dataset, symbol, event_time, knowledge_time, kind, '', ratio, amount, source, basis FROM corporate_actions;

DROP TABLE corporate_actions;

ALTER TABLE actions RENAME TO corporate_actions;
