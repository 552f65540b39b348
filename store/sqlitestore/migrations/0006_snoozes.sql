-- Interactions that come back by themselves, and who changed one last.

ALTER TABLE interactions ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE interactions ADD COLUMN snoozed_until INT NOT NULL DEFAULT 0;
ALTER TABLE interactions ADD COLUMN snoozed_after INT NOT NULL DEFAULT 0;
CREATE INDEX interactions_snoozed ON interactions (snoozed_until) WHERE state = 'snoozed';
