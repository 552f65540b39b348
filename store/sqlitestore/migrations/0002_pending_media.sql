-- The duty to fetch a file of an inbound message, in the order of appending. What came of it goes into the doc of the
-- message.
CREATE TABLE pending_media (
	seq        INT  NOT NULL, -- that of the message
	message_id TEXT NOT NULL,
	org        TEXT NOT NULL,
	file       INT  NOT NULL, -- index in the payload
	partition  INT  NOT NULL,
	attempts   INT  NOT NULL DEFAULT 0,
	not_before INT  NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX pending_media_once ON pending_media (message_id, file);
CREATE INDEX pending_media_due ON pending_media (not_before, seq, file, partition);

-- Files of messages that came before there was somebody to fetch them.
INSERT INTO pending_media (seq, message_id, org, file, partition)
SELECT m.seq, m.id, m.org, f.key, m.seq & 63
FROM messages m, json_each(CAST(m.doc AS TEXT), '$.payload.image.references') f
WHERE m.direction = 'INBOUND' AND f.value ->> '$.state' = 'pending';
INSERT INTO pending_media (seq, message_id, org, file, partition)
SELECT m.seq, m.id, m.org, f.key, m.seq & 63
FROM messages m, json_each(CAST(m.doc AS TEXT), '$.payload.media') f
WHERE m.direction = 'INBOUND' AND f.value ->> '$.reference.state' = 'pending';
