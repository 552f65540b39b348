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

CREATE TABLE drafts (
	id             TEXT PRIMARY KEY,
	org            TEXT NOT NULL,
	version        INT  NOT NULL,
	user_id        TEXT NOT NULL,
	interaction_id TEXT NOT NULL,
	tab            TEXT NOT NULL,
	updated_at     INT  NOT NULL,
	doc            BLOB NOT NULL
);
CREATE UNIQUE INDEX drafts_by_key ON drafts (org, user_id, interaction_id, tab);
CREATE INDEX drafts_by_age ON drafts (org, user_id, updated_at, id);

CREATE TABLE canned_replies (
	id           TEXT PRIMARY KEY,
	org          TEXT NOT NULL,
	version      INT  NOT NULL,
	group_id     TEXT NOT NULL,
	shortcut     TEXT NOT NULL,
	shortcut_key TEXT NOT NULL,
	doc          BLOB NOT NULL
);
CREATE UNIQUE INDEX canned_replies_by_key ON canned_replies (org, group_id, shortcut_key);
CREATE INDEX canned_replies_by_shortcut ON canned_replies (org, group_id, shortcut, id);

CREATE TABLE workflows (
	id       TEXT PRIMARY KEY,
	org      TEXT NOT NULL,
	version  INT  NOT NULL,
	name     TEXT NOT NULL,
	name_key TEXT NOT NULL,
	doc      BLOB NOT NULL
);
CREATE UNIQUE INDEX workflows_by_key ON workflows (org, name_key);
CREATE INDEX workflows_by_name ON workflows (org, name, id);

CREATE TABLE workflow_versions (
	id          TEXT PRIMARY KEY,
	org         TEXT NOT NULL,
	workflow_id TEXT NOT NULL,
	number      INT  NOT NULL,
	doc         BLOB NOT NULL
);
CREATE UNIQUE INDEX workflow_versions_by_number ON workflow_versions (org, workflow_id, number);
CREATE INDEX workflow_versions_by_age ON workflow_versions (org, workflow_id, number, id);

CREATE TABLE message_templates (
	id                 TEXT PRIMARY KEY,
	org                TEXT NOT NULL,
	version            INT  NOT NULL,
	carrier_account_id TEXT NOT NULL,
	name               TEXT NOT NULL,
	language           TEXT NOT NULL,
	doc                BLOB NOT NULL
);
CREATE UNIQUE INDEX message_templates_by_key ON message_templates (org, carrier_account_id, name, language);
CREATE INDEX message_templates_by_name ON message_templates (org, carrier_account_id, name, id);

CREATE TABLE reroute_mappings (
	id                 TEXT PRIMARY KEY,
	org                TEXT NOT NULL,
	version            INT  NOT NULL,
	carrier_account_id TEXT NOT NULL,
	mapper             TEXT NOT NULL,
	key                TEXT NOT NULL,
	doc                BLOB NOT NULL
);
CREATE UNIQUE INDEX reroute_mappings_by_key ON reroute_mappings (org, carrier_account_id, mapper, key);
CREATE INDEX reroute_mappings_in_order ON reroute_mappings (org, carrier_account_id, key, id);

CREATE TABLE webhooks (
	id      TEXT PRIMARY KEY,
	org     TEXT NOT NULL,
	version INT  NOT NULL,
	name    TEXT NOT NULL,
	doc     BLOB NOT NULL
);
CREATE INDEX webhooks_by_name ON webhooks (org, name, id);

CREATE TABLE media_files (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	version    INT  NOT NULL,
	message_id TEXT NOT NULL,
	created_at INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE INDEX media_files_by_age ON media_files (org, message_id, created_at, id);

CREATE TABLE conversion_jobs (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	version    INT  NOT NULL,
	job_key    TEXT NOT NULL,
	created_at INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE UNIQUE INDEX conversion_jobs_by_key ON conversion_jobs (org, job_key);
CREATE INDEX conversion_jobs_by_age ON conversion_jobs (org, created_at, id);
