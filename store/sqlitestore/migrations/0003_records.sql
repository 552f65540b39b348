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

CREATE INDEX consents_by_age ON consents (org, identity_id, at, seq);

-- What stands in the documents of identities and contacts, for looking up: triggers keep it, whatever writes them.
CREATE TABLE identity_aliases (
	org         TEXT NOT NULL,
	family      TEXT NOT NULL,
	address     TEXT NOT NULL,
	identity_id TEXT NOT NULL
);
CREATE UNIQUE INDEX identity_aliases_by_address ON identity_aliases (org, family, address);
CREATE INDEX identity_aliases_by_identity ON identity_aliases (identity_id);

CREATE TABLE external_ids (
	org         TEXT NOT NULL,
	system      TEXT NOT NULL,
	external_id TEXT NOT NULL,
	contact_id  TEXT NOT NULL,
	identity_id TEXT NOT NULL -- '': the contact itself is linked
);
CREATE INDEX external_ids_by_id ON external_ids (org, system, external_id, contact_id);
CREATE INDEX external_ids_by_holder ON external_ids (contact_id, identity_id);

CREATE TRIGGER identities_inserted AFTER INSERT ON identities BEGIN
	INSERT INTO identity_aliases (org, family, address, identity_id)
	SELECT new.org, new.family, value ->> '$.address', new.id FROM json_each(CAST(new.doc AS TEXT), '$.aliases');
	INSERT INTO external_ids (org, system, external_id, contact_id, identity_id)
	SELECT new.org, value ->> '$.system', value ->> '$.id', new.contact_id, new.id
	FROM json_each(CAST(new.doc AS TEXT), '$.externalIds');
END;
CREATE TRIGGER identities_updated AFTER UPDATE OF org, contact_id, family, doc ON identities BEGIN
	DELETE FROM identity_aliases WHERE identity_id = old.id;
	INSERT INTO identity_aliases (org, family, address, identity_id)
	SELECT new.org, new.family, value ->> '$.address', new.id FROM json_each(CAST(new.doc AS TEXT), '$.aliases');
	DELETE FROM external_ids WHERE contact_id = old.contact_id AND identity_id = old.id;
	INSERT INTO external_ids (org, system, external_id, contact_id, identity_id)
	SELECT new.org, value ->> '$.system', value ->> '$.id', new.contact_id, new.id
	FROM json_each(CAST(new.doc AS TEXT), '$.externalIds');
END;
CREATE TRIGGER identities_deleted AFTER DELETE ON identities BEGIN
	DELETE FROM identity_aliases WHERE identity_id = old.id;
	DELETE FROM external_ids WHERE contact_id = old.contact_id AND identity_id = old.id;
END;
CREATE TRIGGER contacts_inserted AFTER INSERT ON contacts BEGIN
	INSERT INTO external_ids (org, system, external_id, contact_id, identity_id)
	SELECT new.org, value ->> '$.system', value ->> '$.id', new.id, '' FROM json_each(CAST(new.doc AS TEXT), '$.externalIds');
END;
CREATE TRIGGER contacts_updated AFTER UPDATE OF org, doc ON contacts BEGIN
	DELETE FROM external_ids WHERE contact_id = old.id AND identity_id = '';
	INSERT INTO external_ids (org, system, external_id, contact_id, identity_id)
	SELECT new.org, value ->> '$.system', value ->> '$.id', new.id, '' FROM json_each(CAST(new.doc AS TEXT), '$.externalIds');
END;
CREATE TRIGGER contacts_deleted AFTER DELETE ON contacts BEGIN
	DELETE FROM external_ids WHERE contact_id = old.id AND identity_id = '';
END;

-- Links that were there before.
INSERT INTO external_ids (org, system, external_id, contact_id, identity_id)
SELECT c.org, value ->> '$.system', value ->> '$.id', c.id, '' FROM contacts c, json_each(CAST(c.doc AS TEXT), '$.externalIds');

-- One row for each message and sender; emoji is empty when the reaction was taken away.
CREATE TABLE reactions (
	org         TEXT NOT NULL,
	message_id  TEXT NOT NULL,
	sender_type TEXT NOT NULL,
	sender_id   TEXT NOT NULL,
	emoji       TEXT NOT NULL,
	at          INT  NOT NULL,
	doc         BLOB NOT NULL
);
CREATE UNIQUE INDEX reactions_once ON reactions (org, message_id, sender_type, sender_id);

CREATE TABLE webhook_deliveries (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	webhook_id TEXT NOT NULL,
	partition  INT  NOT NULL,
	state      TEXT NOT NULL,
	not_before INT  NOT NULL,
	created_at INT  NOT NULL,
	expires_at INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (not_before, id, partition) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (org, webhook_id, created_at, id);
CREATE INDEX webhook_deliveries_by_end ON webhook_deliveries (expires_at);

ALTER TABLE interactions ADD COLUMN label_ids TEXT NOT NULL DEFAULT ''; -- with spaces between
