-- Version 2: what an asset is, universes, side data of a symbol, the economic calendar, news, and a record of imports.

ALTER TABLE assets ADD COLUMN asset_class TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN currency TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN calendar TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN base TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN listed INTEGER;
ALTER TABLE assets ADD COLUMN delisted INTEGER;
ALTER TABLE assets ADD COLUMN delisting_return REAL CHECK (delisting_return >= -1);

UPDATE assets SET
    base = symbol,
    currency = (SELECT datasets.currency FROM datasets WHERE datasets.name = assets.dataset),
    calendar = (SELECT datasets.calendar FROM datasets WHERE datasets.name = assets.dataset);

ALTER TABLE prices ADD COLUMN
    basis TEXT NOT NULL DEFAULT 'declared' CHECK (basis IN ('observed', 'declared', 'left-censored'));

CREATE TABLE universes (
    universe       TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    start          INTEGER NOT NULL,
    end            INTEGER,
    knowledge_time INTEGER NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (universe, symbol, start, knowledge_time),
    CHECK (end IS NULL OR end > start)
) STRICT, WITHOUT ROWID;

CREATE TABLE actions (
    dataset        TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('split', 'dividend')),
    ratio          REAL CHECK (ratio > 0),
    amount         REAL CHECK (amount >= 0),
    source         TEXT NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (dataset, symbol, event_time, knowledge_time, kind),
    FOREIGN KEY (dataset, symbol) REFERENCES assets (dataset, symbol),
    CHECK (kind <> 'split' OR ratio IS NOT NULL),
    CHECK (kind <> 'dividend' OR amount IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO actions
    SELECT dataset, symbol, event_time, knowledge_time, kind, ratio, NULL, source, 'declared' FROM corporate_actions;

DROP TABLE corporate_actions;

ALTER TABLE actions RENAME TO corporate_actions;

ALTER TABLE series ADD COLUMN
    kind TEXT NOT NULL DEFAULT 'macro' CHECK (kind IN
        ('macro', 'onchain', 'funding', 'fundamental', 'benchmark', 'calendar', 'news', 'other'));

CREATE TABLE values_of_symbols (
    series         TEXT NOT NULL REFERENCES series (series),
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    value          REAL NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (series, symbol, event_time, knowledge_time),
    CHECK (knowledge_time >= event_time)
) STRICT, WITHOUT ROWID;

INSERT INTO values_of_symbols
    SELECT series, '', event_time, knowledge_time, value, basis FROM observations
    ORDER BY series, event_time, knowledge_time;

DROP TABLE observations;

ALTER TABLE values_of_symbols RENAME TO observations;

CREATE VIEW macro_observations AS
    SELECT observations.* FROM observations JOIN series USING (series) WHERE kind = 'macro';

CREATE VIEW onchain_metrics AS
    SELECT observations.* FROM observations JOIN series USING (series) WHERE kind = 'onchain';

CREATE VIEW funding_rates AS
    SELECT observations.* FROM observations JOIN series USING (series) WHERE kind = 'funding';

CREATE VIEW benchmarks AS
    SELECT observations.* FROM observations JOIN series USING (series) WHERE kind = 'benchmark';

-- A schedule: the event may lie after the moment at which its date became known.
CREATE TABLE calendar_events (
    series         TEXT NOT NULL REFERENCES series (series),
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    released       INTEGER,
    forecast       REAL,
    actual         REAL,
    previous       REAL,
    impact         TEXT NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (series, event_time, knowledge_time),
    CHECK (actual IS NULL OR released IS NOT NULL),
    CHECK (released IS NULL OR knowledge_time >= released)
) STRICT, WITHOUT ROWID;

CREATE TABLE news (
    source         TEXT NOT NULL REFERENCES series (series),
    symbol         TEXT NOT NULL,
    event_time     INTEGER NOT NULL,
    knowledge_time INTEGER NOT NULL,
    id             TEXT NOT NULL,
    text           TEXT NOT NULL,
    body           TEXT NOT NULL,
    basis          TEXT NOT NULL CHECK (basis IN ('observed', 'declared', 'left-censored')),
    PRIMARY KEY (source, symbol, event_time, knowledge_time, id),
    CHECK (knowledge_time >= event_time)
) STRICT, WITHOUT ROWID;

CREATE TABLE news_scores (
    source         TEXT NOT NULL,
    id             TEXT NOT NULL,
    model          TEXT NOT NULL,
    knowledge_time INTEGER NOT NULL,
    score          REAL,
    embedding      BLOB,
    PRIMARY KEY (source, id, model, knowledge_time),
    CHECK (score IS NOT NULL OR embedding IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE imports (
    imported_at    INTEGER NOT NULL,
    file_sha256    TEXT NOT NULL,
    mapping_sha256 TEXT NOT NULL,
    file           TEXT NOT NULL,
    target         TEXT NOT NULL,
    n_read         INTEGER NOT NULL,
    n_taken        INTEGER NOT NULL,
    n_present      INTEGER NOT NULL,
    n_refused      INTEGER NOT NULL,
    PRIMARY KEY (imported_at, file_sha256, mapping_sha256, target),
    CHECK (n_read = n_taken + n_present + n_refused)
) STRICT, WITHOUT ROWID;
