-- What changed, in the order of commits: each write of an interaction or a message takes the next n. There is one writer, so
-- whoever has read up to n misses nothing that is committed later. Backups have another history: their n begins to mean
-- something else once they are restored.
CREATE TABLE change_state (
	id      INTEGER PRIMARY KEY,
	n       INT  NOT NULL,
	history TEXT NOT NULL
);
INSERT INTO change_state (id, n, history) VALUES (1, 0, lower(hex(randomblob(8))));

-- n before the first change of a minute. Minute 0: everything there is was written with a number.
CREATE TABLE change_marks (
	minute INTEGER PRIMARY KEY,
	n      INT NOT NULL
);
INSERT INTO change_marks (minute, n) SELECT iif(EXISTS (SELECT 1 FROM interactions), unixepoch() / 60, 0), 0;

-- 0: not written since there are numbers.
ALTER TABLE interactions ADD COLUMN changed INT NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN changed INT NOT NULL DEFAULT 0;
CREATE INDEX interactions_changed ON interactions (org, changed);
CREATE INDEX messages_changed ON messages (org, changed);

-- Triggers number what is written, whatever writes it.
CREATE TRIGGER interaction_new_changed AFTER INSERT ON interactions BEGIN
	UPDATE change_state SET n = n + 1 WHERE id = 1;
	INSERT INTO change_marks (minute, n) SELECT unixepoch() / 60, n - 1 FROM change_state WHERE id = 1
	ON CONFLICT (minute) DO NOTHING;
	UPDATE interactions SET changed = (SELECT n FROM change_state WHERE id = 1) WHERE id = new.id;
END;
CREATE TRIGGER interaction_changed AFTER UPDATE ON interactions WHEN old.changed = new.changed BEGIN
	UPDATE change_state SET n = n + 1 WHERE id = 1;
	INSERT INTO change_marks (minute, n) SELECT unixepoch() / 60, n - 1 FROM change_state WHERE id = 1
	ON CONFLICT (minute) DO NOTHING;
	UPDATE interactions SET changed = (SELECT n FROM change_state WHERE id = 1) WHERE id = new.id;
END;
CREATE TRIGGER message_new_changed AFTER INSERT ON messages BEGIN
	UPDATE change_state SET n = n + 1 WHERE id = 1;
	INSERT INTO change_marks (minute, n) SELECT unixepoch() / 60, n - 1 FROM change_state WHERE id = 1
	ON CONFLICT (minute) DO NOTHING;
	UPDATE messages SET changed = (SELECT n FROM change_state WHERE id = 1) WHERE seq = new.seq;
END;
CREATE TRIGGER message_changed AFTER UPDATE ON messages WHEN old.changed = new.changed BEGIN
	UPDATE change_state SET n = n + 1 WHERE id = 1;
	INSERT INTO change_marks (minute, n) SELECT unixepoch() / 60, n - 1 FROM change_state WHERE id = 1
	ON CONFLICT (minute) DO NOTHING;
	UPDATE messages SET changed = (SELECT n FROM change_state WHERE id = 1) WHERE seq = new.seq;
END;
