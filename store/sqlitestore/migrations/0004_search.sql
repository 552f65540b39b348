-- The index of what is written: terms, not texts (see search.go). The rowid of a message is its seq, so that what was stored
-- last comes first without sorting. Positions, sizes and the texts themselves are not kept.
CREATE VIRTUAL TABLE message_search USING fts5(terms, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE VIRTUAL TABLE contact_search USING fts5(terms, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');

-- Messages are indexed after they were stored: those above one place in order, and those that were there before the index,
-- below another place, newest first.
CREATE TABLE search_progress (
	id    INTEGER PRIMARY KEY,
	above INT NOT NULL, -- seqs higher than this one wait
	below INT NOT NULL  -- seqs up to this one wait
);
INSERT INTO search_progress (id, above, below)
SELECT 1, coalesce(max(seq), 0), coalesce(max(seq), 0) FROM messages;

-- Messages that changed or went after they were stored. times tells whether they did so again meanwhile.
CREATE TABLE search_again (
	seq   INTEGER PRIMARY KEY,
	times INT NOT NULL DEFAULT 1
);
CREATE TRIGGER search_message_changed AFTER UPDATE OF doc ON messages WHEN old.doc IS NOT new.doc BEGIN
	INSERT INTO search_again (seq) VALUES (new.seq) ON CONFLICT (seq) DO UPDATE SET times = times + 1;
END;
-- The seq of the last message may be given again.
CREATE TRIGGER search_message_gone AFTER DELETE ON messages BEGIN
	INSERT INTO search_again (seq) VALUES (old.seq) ON CONFLICT (seq) DO UPDATE SET times = times + 1;
	UPDATE search_progress SET above = min(above, (SELECT coalesce(max(seq), 0) FROM messages)) WHERE id = 1;
END;

-- What a message belongs to is in the index as well.
CREATE TRIGGER search_interaction_moved AFTER UPDATE OF group_id, contact_id ON interactions
WHEN old.group_id <> new.group_id OR old.contact_id <> new.contact_id BEGIN
	INSERT INTO search_again (seq) SELECT seq FROM messages WHERE interaction_id = new.id
	ON CONFLICT (seq) DO UPDATE SET times = times + 1;
END;

-- When the messages of each 1,024 seqs were created.
CREATE TABLE search_times (
	block INTEGER PRIMARY KEY, -- seq >> 10
	low   INT NOT NULL,
	high  INT NOT NULL
);
CREATE INDEX search_times_by_low ON search_times (low, block);
CREATE INDEX search_times_by_high ON search_times (high, block);

-- Contacts by the order in which they came, and whether they have to be indexed (again). changes goes up with each change.
CREATE TABLE search_contacts (
	n          INTEGER PRIMARY KEY,
	contact_id TEXT NOT NULL UNIQUE,
	changes    INT  NOT NULL DEFAULT 1 -- since the contact was indexed
);
CREATE INDEX search_contacts_changed ON search_contacts (changes) WHERE changes > 0;
INSERT INTO search_contacts (contact_id) SELECT id FROM contacts ORDER BY created_at, id;
CREATE TRIGGER search_contact_new AFTER INSERT ON contacts BEGIN
	INSERT INTO search_contacts (contact_id) VALUES (new.id) ON CONFLICT (contact_id) DO UPDATE SET changes = changes + 1;
END;
CREATE TRIGGER search_contact_changed AFTER UPDATE OF doc ON contacts BEGIN
	UPDATE search_contacts SET changes = changes + 1 WHERE contact_id = new.id;
END;
CREATE TRIGGER search_contact_gone AFTER DELETE ON contacts BEGIN
	UPDATE search_contacts SET changes = changes + 1 WHERE contact_id = old.id;
END;
CREATE TRIGGER search_identity_new AFTER INSERT ON identities BEGIN
	INSERT INTO search_contacts (contact_id) VALUES (new.contact_id) ON CONFLICT (contact_id) DO UPDATE SET changes = changes + 1;
END;
CREATE TRIGGER search_identity_changed AFTER UPDATE OF doc, contact_id ON identities BEGIN
	UPDATE search_contacts SET changes = changes + 1 WHERE contact_id IN (old.contact_id, new.contact_id);
END;
CREATE TRIGGER search_identity_gone AFTER DELETE ON identities BEGIN
	UPDATE search_contacts SET changes = changes + 1 WHERE contact_id = old.contact_id;
END;
