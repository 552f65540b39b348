-- Ids and keys are text, moments INT milliseconds, doc the JSON of what no query looks at.
-- Every index that serves tenant data begins with the organisation.

CREATE TABLE organisations (
	id         TEXT PRIMARY KEY,
	created_at INT  NOT NULL,
	version    INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE INDEX organisations_by_age ON organisations (created_at, id);

CREATE TABLE users (
	id      TEXT PRIMARY KEY,
	org     TEXT NOT NULL,
	email   TEXT NOT NULL UNIQUE,
	name    TEXT NOT NULL,
	version INT  NOT NULL,
	doc     BLOB NOT NULL
);
CREATE INDEX users_by_name ON users (org, name, id);

CREATE TABLE sessions (
	id           TEXT PRIMARY KEY,
	org          TEXT NOT NULL,
	user_id      TEXT NOT NULL,
	refresh_hash TEXT NOT NULL,
	previous     BLOB NOT NULL, -- JSON array, newest last
	created_at   INT  NOT NULL,
	expires_at   INT  NOT NULL,
	ended_at     INT  NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (org, user_id) WHERE ended_at = 0;
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE one_time_tokens (
	hash       TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	user_id    TEXT NOT NULL,
	purpose    TEXT NOT NULL,
	expires_at INT  NOT NULL
);
CREATE INDEX one_time_tokens_by_end ON one_time_tokens (expires_at);

CREATE TABLE api_keys (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	hash       TEXT NOT NULL UNIQUE,
	created_at INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE INDEX api_keys_by_age ON api_keys (org, created_at, id);

CREATE TABLE channel_groups (
	id      TEXT PRIMARY KEY,
	org     TEXT NOT NULL,
	name    TEXT NOT NULL,
	version INT  NOT NULL,
	doc     BLOB NOT NULL
);
CREATE INDEX channel_groups_by_name ON channel_groups (org, name, id);

CREATE TABLE folders (
	id      TEXT PRIMARY KEY,
	org     TEXT NOT NULL,
	name    TEXT NOT NULL,
	version INT  NOT NULL,
	doc     BLOB NOT NULL
);
CREATE INDEX folders_by_name ON folders (org, name, id);

CREATE TABLE carrier_accounts (
	id        TEXT PRIMARY KEY,
	org       TEXT NOT NULL,
	public_id TEXT NOT NULL UNIQUE,
	name      TEXT NOT NULL,
	version   INT  NOT NULL,
	doc       BLOB NOT NULL
);
CREATE INDEX carrier_accounts_by_name ON carrier_accounts (org, name, id);

CREATE TABLE channels (
	id        TEXT PRIMARY KEY,
	org       TEXT NOT NULL,
	account   TEXT NOT NULL,
	family    TEXT NOT NULL,
	address   TEXT NOT NULL,
	public_id TEXT, -- of a LiveChat widget
	name      TEXT NOT NULL,
	version   INT  NOT NULL,
	doc       BLOB NOT NULL
);
CREATE UNIQUE INDEX channels_by_address ON channels (org, account, family, address);
CREATE UNIQUE INDEX channels_by_public_id ON channels (public_id) WHERE public_id IS NOT NULL;
CREATE INDEX channels_by_name ON channels (org, name, id);

CREATE TABLE contacts (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	created_at INT  NOT NULL,
	version    INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE INDEX contacts_by_age ON contacts (org, created_at, id);

CREATE TABLE identities (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	contact_id TEXT NOT NULL,
	family     TEXT NOT NULL,
	address    TEXT NOT NULL,
	created_at INT  NOT NULL,
	consent_at INT  NOT NULL DEFAULT 0, -- of the newest consent that was recorded
	doc        BLOB NOT NULL
);
CREATE UNIQUE INDEX identities_by_address ON identities (org, family, address);
CREATE INDEX identities_by_contact ON identities (org, contact_id, created_at, id);

-- Every word about consent, in the order in which it came; only ever added to.
CREATE TABLE consents (
	seq         INTEGER PRIMARY KEY,
	identity_id TEXT NOT NULL,
	org         TEXT NOT NULL,
	opted_out   INT  NOT NULL,
	said_by     TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	at          INT  NOT NULL
);
CREATE UNIQUE INDEX consents_once ON consents (identity_id, at, opted_out, said_by, user_id);

CREATE TABLE interactions (
	id               TEXT PRIMARY KEY,
	org              TEXT NOT NULL,
	user_id          TEXT NOT NULL,
	contact_id       TEXT NOT NULL,
	identity_id      TEXT NOT NULL,
	channel_id       TEXT NOT NULL,
	channel_type     TEXT NOT NULL,
	group_id         TEXT NOT NULL,
	folder_id        TEXT NOT NULL,
	owner_type       TEXT NOT NULL,
	owner_id         TEXT NOT NULL,
	state            TEXT NOT NULL,
	contact_name     TEXT NOT NULL,
	contact_address  TEXT NOT NULL,
	last_sequence    INT  NOT NULL,
	last_message_at  INT  NOT NULL,
	last_preview     TEXT NOT NULL,
	last_direction   TEXT NOT NULL,
	last_inbound_at  INT  NOT NULL,
	waiting_since    INT  NOT NULL,
	unread           INT  NOT NULL,
	agent_read_seq   INT  NOT NULL,
	contact_read_seq INT  NOT NULL,
	version          INT  NOT NULL,
	created_at       INT  NOT NULL,
	resolved_at      INT  NOT NULL,
	resolved_by      TEXT NOT NULL,
	schema_version   INT  NOT NULL,
	schema_date      INT  NOT NULL
);
CREATE UNIQUE INDEX interactions_one_open ON interactions (org, identity_id, channel_id) WHERE state <> 'resolved';
CREATE INDEX interactions_resolved ON interactions (org, identity_id, channel_id, resolved_at) WHERE state = 'resolved';
CREATE INDEX interactions_list ON interactions (org, group_id, state, last_message_at, id);
CREATE INDEX interactions_unassigned ON interactions (org, group_id, state, last_message_at, id) WHERE owner_type = 'Group';
CREATE INDEX interactions_owned ON interactions (org, owner_id, state, last_message_at, id, group_id) WHERE owner_type = 'User';
CREATE INDEX interactions_by_contact ON interactions (org, contact_id, state);

-- doc has the message as it was appended, without what the other columns hold.
CREATE TABLE messages (
	seq            INTEGER PRIMARY KEY,
	id             TEXT NOT NULL UNIQUE,
	org            TEXT NOT NULL,
	interaction_id TEXT NOT NULL,
	sequence       INT  NOT NULL,
	direction      TEXT NOT NULL,
	channel_id     TEXT NOT NULL,
	carrier_id     TEXT NOT NULL,
	client_id      TEXT NOT NULL,
	segments       INT  NOT NULL,
	status         TEXT NOT NULL,
	status_rank    INT  NOT NULL,
	status_at      INT  NOT NULL,
	reason         TEXT NOT NULL,
	error_code     TEXT NOT NULL,
	history        TEXT NOT NULL, -- JSON objects with commas between
	doc            BLOB NOT NULL
);
CREATE UNIQUE INDEX messages_by_sequence ON messages (interaction_id, sequence);
CREATE UNIQUE INDEX messages_by_carrier_id ON messages (org, channel_id, carrier_id) WHERE carrier_id <> '';
CREATE UNIQUE INDEX messages_by_client_id ON messages (interaction_id, client_id) WHERE client_id <> '';

-- Statuses of messages that the store did not know yet by the carrier's id: one of each kind.
CREATE TABLE early_statuses (
	seq        INTEGER PRIMARY KEY,
	org        TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	carrier_id TEXT NOT NULL,
	status     TEXT NOT NULL,
	expires_at INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE UNIQUE INDEX early_statuses_once ON early_statuses (org, channel_id, carrier_id, status);
CREATE INDEX early_statuses_by_end ON early_statuses (expires_at);

-- The duty to send a message, in the order of appending. Only the oldest of a recipient and channel is its head:
-- the others are outside the index that workers look at, however many they are.
CREATE TABLE outbox (
	seq        INTEGER PRIMARY KEY, -- that of the message
	message_id TEXT NOT NULL UNIQUE,
	org        TEXT NOT NULL,
	recipient  TEXT NOT NULL, -- channel and address
	partition  INT  NOT NULL,
	head       INT  NOT NULL,
	attempts   INT  NOT NULL DEFAULT 0,
	not_before INT  NOT NULL DEFAULT 0,
	sending_at INT  NOT NULL DEFAULT 0
);
CREATE INDEX outbox_heads ON outbox (not_before, seq, partition, sending_at) WHERE head = 1;
CREATE INDEX outbox_by_recipient ON outbox (org, recipient, seq);

CREATE TABLE inbox (
	seq         INTEGER PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE,
	org         TEXT NOT NULL,
	partition   INT  NOT NULL,
	attempts    INT  NOT NULL,
	not_before  INT  NOT NULL,
	last_error  TEXT NOT NULL,
	doc         BLOB NOT NULL,
	body        BLOB
);
CREATE INDEX inbox_due ON inbox (not_before, seq, partition);

-- Parts of texts, by their index. Index 0 is the note that the text has been joined.
CREATE TABLE fragments (
	org        TEXT NOT NULL,
	key        TEXT NOT NULL,
	part       INT  NOT NULL,
	expires_at INT  NOT NULL,
	doc        BLOB NOT NULL
);
CREATE UNIQUE INDEX fragments_once ON fragments (org, key, part);
CREATE INDEX fragments_by_end ON fragments (expires_at);

CREATE TABLE set_aside (
	id         TEXT PRIMARY KEY,
	org        TEXT NOT NULL,
	at         INT  NOT NULL,
	expires_at INT  NOT NULL,
	doc        BLOB NOT NULL,
	body       BLOB
);
CREATE INDEX set_aside_by_age ON set_aside (org, at, id);
CREATE INDEX set_aside_by_end ON set_aside (expires_at);

CREATE TABLE locks (
	key        TEXT PRIMARY KEY,
	owner      TEXT NOT NULL,
	token      INT  NOT NULL,
	expires_at INT  NOT NULL
);

CREATE TABLE idempotency_keys (
	org        TEXT NOT NULL,
	key        TEXT NOT NULL,
	body_hash  TEXT NOT NULL,
	done       INT  NOT NULL,
	status     INT  NOT NULL,
	body       BLOB,
	expires_at INT  NOT NULL
);
CREATE UNIQUE INDEX idempotency_keys_once ON idempotency_keys (org, key);
CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);

CREATE TABLE audit_records (
	id  TEXT PRIMARY KEY,
	org TEXT NOT NULL,
	at  INT  NOT NULL,
	doc BLOB NOT NULL
);
CREATE INDEX audit_records_by_age ON audit_records (org, at, id);

-- What Ping writes to.
CREATE TABLE pings (id INTEGER PRIMARY KEY, n INT NOT NULL);
