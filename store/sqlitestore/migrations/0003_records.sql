-- Plain records: doc is the whole record, the other columns are what is searched, sorted by or unique.

CREATE TABLE labels (
	id       TEXT PRIMARY KEY,
	org      TEXT NOT NULL,
	version  INT  NOT NULL,
	name     TEXT NOT NULL,
	name_key TEXT NOT NULL, -- folded
	doc      BLOB NOT NULL
);
CREATE UNIQUE INDEX labels_by_key ON labels (org, name_key);
CREATE INDEX labels_by_name ON labels (org, name, id);

CREATE TABLE notes (
	id             TEXT PRIMARY KEY,
	org            TEXT NOT NULL,
	version        INT  NOT NULL,
	interaction_id TEXT NOT NULL,
	created_at     INT  NOT NULL,
	doc            BLOB NOT NULL
);
CREATE INDEX notes_by_age ON notes (org, interaction_id, created_at, id);
