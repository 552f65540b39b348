package sqlitestore

import "strings"

// stmt names a statement. All that the store runs, but for the schema, stands in the table below, so that a test can
// ask SQLite how it would run each.
type stmt int

const (
	sqlBegin stmt = iota
	sqlBeginRead
	sqlCommit
	sqlRollback
	sqlBusySoon
	sqlSchemaVersion
	sqlSchemaAdd
	sqlPing
	sqlPinged
	sqlSweepSessions
	sqlSweepTokens
	sqlSweepKeys
	sqlSweepEarly
	sqlSweepAside
	sqlSweepFragments

	sqlOrganisationInsert
	sqlOrganisation
	sqlOrganisationUpdate
	sqlOrganisations

	sqlUserInsert
	sqlUser
	sqlUserByEmail
	sqlUserUpdate
	sqlUsers

	sqlSessionInsert
	sqlSession
	sqlSessionDoor
	sqlSessionRotate
	sqlSessionEnd
	sqlSessionsEnd
	sqlTokenPut
	sqlTokenTake

	sqlAPIKeyInsert
	sqlAPIKey
	sqlAPIKeyByHash
	sqlAPIKeys
	sqlAPIKeyDelete

	sqlGroupInsert
	sqlGroup
	sqlGroupUpdate
	sqlGroups

	sqlFolderInsert
	sqlFolder
	sqlFolderUpdate
	sqlFolders

	sqlAccountInsert
	sqlAccount
	sqlAccountByPublicID
	sqlAccountUpdate
	sqlAccounts

	sqlChannelInsert
	sqlChannel
	sqlChannelByAddress
	sqlChannelByPublicID
	sqlChannelUpdate
	sqlChannels

	sqlContactInsert
	sqlContact
	sqlContactUpdate
	sqlContacts
	sqlIdentityInsert
	sqlIdentity
	sqlIdentityByAddress
	sqlIdentityAndContact
	sqlIdentities
	sqlIdentityUpdate
	sqlConsentAdd

	sqlInteractionInsert
	sqlInteraction
	sqlInteractionOpen
	sqlInteractionReopenable
	sqlInteractionReopen
	sqlInteractionChange
	sqlInteractionSnoozesDue
	sqlInteractionAppend
	sqlInteractionPreview
	sqlInteractionReadByAgent
	sqlInteractionReadByContact
	sqlInteractionKeysOfGroup
	sqlInteractionKeysUnassigned
	sqlInteractionKeysOwned
	sqlInteractionKeysOfContact
	sqlCountOwned
	sqlCountUnassigned
	sqlCountAll

	sqlMessageInsert
	sqlMessage
	sqlMessageByCarrierID
	sqlMessageIDByID
	sqlMessageIDByCarrierID
	sqlMessageByClientID
	sqlMessagesBefore
	sqlMessagesAfter
	sqlMessageStatus
	sqlMessageNote
	sqlMessageRequeue
	sqlMessageCarrierID
	sqlMessageSegments
	sqlMessageDoc
	sqlEarlyPut
	sqlEarlyTake

	sqlInboxPut
	sqlInboxNew
	sqlInboxRetried
	sqlInboxDone
	sqlInboxRetry
	sqlAsidePut
	sqlAsideTake
	sqlAsideList
	sqlFragmentPut
	sqlFragments
	sqlFragmentsDrop
	sqlFragmentsExpire

	sqlOutboxPut
	sqlOutboxNew
	sqlOutboxRetried
	sqlOutboxSending
	sqlOutboxRetry
	sqlOutboxPutOff
	sqlOutboxTake
	sqlOutboxPromote
	sqlOutboxState
	sqlOutboxNext

	sqlMediaPut
	sqlMediaNew
	sqlMediaRetried
	sqlMediaTake
	sqlMediaRetry
	sqlMediaNext

	sqlChangeState
	sqlChangeMark
	sqlChangeHistory
	sqlChangeMarksOld
	sqlChangedInteractions
	sqlChangedMessages

	sqlSearchMessages
	sqlSearchContacts
	sqlSearchTimesFrom
	sqlSearchTimesUntil
	sqlSearchTimesPut
	sqlSearchProgress
	sqlSearchLag
	sqlSearchNew
	sqlSearchAbove
	sqlSearchOld
	sqlSearchBelow
	sqlSearchMessage
	sqlSearchMessagePut
	sqlSearchMessageDrop
	sqlSearchAgain
	sqlSearchAgainDone
	sqlSearchContact
	sqlSearchContactsChanged
	sqlSearchContactPut
	sqlSearchContactDrop
	sqlSearchContactDone
	sqlSearchContactGone

	sqlLockAcquire
	sqlLockRelease
	sqlLocks
	sqlKeyReserve
	sqlKey
	sqlKeyComplete
	sqlKeyDrop
	sqlAuditInsert
	sqlAudit
	sqlAuditList

	sqlDumpOrganisations
	sqlDumpUsers
	sqlDumpSessions
	sqlDumpTokens
	sqlDumpAPIKeys
	sqlDumpGroups
	sqlDumpFolders
	sqlDumpAccounts
	sqlDumpChannels
	sqlDumpContacts
	sqlDumpIdentities
	sqlDumpConsents
	sqlDumpMessages
	sqlDumpInteractions
	sqlDumpReactions
	sqlDumpEarly
	sqlDumpInbox
	sqlDumpAside
	sqlDumpFragments
	sqlDumpKeys
	sqlDumpAudits
	sqlDumpDeliveries
	sqlLoadOrganisation
	sqlLoadUser
	sqlLoadSession
	sqlLoadToken
	sqlLoadAPIKey
	sqlLoadGroup
	sqlLoadFolder
	sqlLoadAccount
	sqlLoadChannel
	sqlLoadContact
	sqlLoadIdentity
	sqlLoadMessage
	sqlLoadSequence
	sqlLoadOutbox
	sqlLoadOutboxBehind
	sqlLoadMediaDrop
	sqlLoadMedia
	sqlLoadInteraction
	sqlLoadInbox
	sqlLoadAside
	sqlLoadFragment
	sqlLoadKey
	sqlLoadAudit
	sqlLoadDelivery
	sqlMarker
	sqlMarkerSet
	sqlMarkerDrop

	sqlInspectLeases
	sqlInspectInbox
	sqlInspectInboxFailed
	sqlInspectInboxOldest
	sqlInspectOutbox
	sqlInspectOutboxFailed
	sqlInspectOutboxOldest
	sqlInspectMedia
	sqlInspectMediaFailed
	sqlInspectMediaOldest
	sqlInspectDeliveries
	sqlInspectDeliveriesFailed
	sqlInspectDeliveriesOldest
	sqlInspectAside
	sqlInspectAsideOldest
	sqlInspectExpired

	sqlPlain // those of plain records begin here, and go on in kinds.go
)

// sqlSchemaTable comes before all else: what the store has of its own, beside the data.
const sqlSchemaTable = `CREATE TABLE IF NOT EXISTS schema_migrations (
	version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INT NOT NULL);
CREATE TABLE IF NOT EXISTS markers (name TEXT PRIMARY KEY, value BLOB NOT NULL)`

const (
	sessionCols     = `id, org, user_id, refresh_hash, previous, created_at, expires_at, ended_at`
	interactionCols = `id, org, user_id, contact_id, identity_id, channel_id, channel_type, group_id, folder_id,
		owner_type, owner_id, state, contact_name, contact_address, last_sequence, last_message_at, last_preview,
		last_direction, last_inbound_at, waiting_since, unread, agent_read_seq, contact_read_seq, version, created_at,
		resolved_at, resolved_by, schema_version, schema_date, label_ids, changed_by, snoozed_until, snoozed_after`
	messageCols = `doc, sequence, carrier_id, segments, status, status_at, reason, error_code, history`
	inboxCols   = `seq, id, attempts, not_before, last_error, doc, body`
	// Items come with their messages.
	outboxCols = `o.seq, o.attempts, o.not_before, o.sending_at, o.partition, m.` +
		`doc, m.sequence, m.carrier_id, m.segments, m.status, m.status_at, m.reason, m.error_code, m.history`
	searchedCols = `m.doc, m.sequence, m.carrier_id, m.segments, m.status, m.status_at, m.reason, m.error_code, m.history`
	entryCols    = `m.seq, m.org, i.group_id, i.contact_id, ` + searchedCols
	mediaCols    = `q.seq, q.file, q.attempts, q.not_before, m.` +
		`doc, m.sequence, m.carrier_id, m.segments, m.status, m.status_at, m.reason, m.error_code, m.history`
)

// Parameters ?1 and ?2 are an id and the organisation, or the organisation alone, wherever a record is named.
//
//nolint:gosec // it takes the names of tokens and keys for credentials
var statements = withRecords([stmtCount]string{
	sqlBegin:         `BEGIN IMMEDIATE`,
	sqlBeginRead:     `BEGIN`,
	sqlCommit:        `COMMIT`,
	sqlRollback:      `ROLLBACK`,
	sqlBusySoon:      `PRAGMA busy_timeout = 50`, // milliseconds: see begin
	sqlSchemaVersion: `SELECT coalesce(max(version), 0) FROM schema_migrations`,
	sqlSchemaAdd:     `INSERT INTO schema_migrations (version, name, applied_at) VALUES (?1, ?2, unixepoch() * 1000)`,
	sqlPing:          `INSERT INTO pings (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1`,
	sqlPinged:        `SELECT n FROM pings WHERE id = 1`,

	sqlSweepSessions:  `DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE expires_at <= ?1 LIMIT ?2)`,
	sqlSweepTokens:    `DELETE FROM one_time_tokens WHERE rowid IN (SELECT rowid FROM one_time_tokens WHERE expires_at <= ?1 LIMIT ?2)`,
	sqlSweepKeys:      `DELETE FROM idempotency_keys WHERE rowid IN (SELECT rowid FROM idempotency_keys WHERE expires_at <= ?1 LIMIT ?2)`,
	sqlSweepEarly:     `DELETE FROM early_statuses WHERE seq IN (SELECT seq FROM early_statuses WHERE expires_at <= ?1 LIMIT ?2)`,
	sqlSweepAside:     `DELETE FROM set_aside WHERE rowid IN (SELECT rowid FROM set_aside WHERE expires_at <= ?1 LIMIT ?2)`,
	sqlSweepFragments: `DELETE FROM fragments WHERE rowid IN (SELECT rowid FROM fragments WHERE expires_at <= ?1 LIMIT ?2)`,

	// Versioned records. Insert: id, organisation, doc, then the rest. Update: id, organisation, version, doc, then the rest.
	sqlOrganisationInsert: `INSERT INTO organisations (id, doc, version, created_at) SELECT ?1, ?3, ?4, ?5 WHERE ?1 = ?2`,
	sqlOrganisation:       `SELECT doc FROM organisations WHERE id = ?1 AND id = ?2`,
	sqlOrganisationUpdate: `UPDATE organisations SET version = version + 1, doc = ?4 WHERE id = ?1 AND id = ?2 AND version = ?3`,
	sqlOrganisations:      `SELECT doc FROM organisations WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3`,

	sqlUserInsert:  `INSERT INTO users (id, org, doc, version, email, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
	sqlUser:        `SELECT doc FROM users WHERE id = ?1 AND org = ?2`,
	sqlUserByEmail: `SELECT doc FROM users WHERE email = ?1`,
	sqlUserUpdate:  `UPDATE users SET version = version + 1, doc = ?4, email = ?5, name = ?6 WHERE id = ?1 AND org = ?2 AND version = ?3`,
	sqlUsers:       `SELECT doc FROM users WHERE org = ?1 AND (name, id) > (?2, ?3) ORDER BY name, id LIMIT ?4`,

	sqlSessionInsert: `INSERT INTO sessions (` + sessionCols + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
	sqlSession:       `SELECT ` + sessionCols + ` FROM sessions WHERE id = ?1 AND org = ?2`,
	sqlSessionDoor:   `SELECT ` + sessionCols + ` FROM sessions WHERE id = ?1`,
	sqlSessionRotate: `UPDATE sessions SET refresh_hash = ?4, previous = ?5, expires_at = ?6
		WHERE id = ?1 AND org = ?2 AND refresh_hash = ?3 AND ended_at = 0 RETURNING ` + sessionCols,
	sqlSessionEnd:  `UPDATE sessions SET ended_at = ?3 WHERE id = ?1 AND org = ?2 AND ended_at = 0`,
	sqlSessionsEnd: `UPDATE sessions SET ended_at = ?3 WHERE org = ?1 AND user_id = ?2 AND ended_at = 0 RETURNING id`,
	sqlTokenPut: `INSERT INTO one_time_tokens (hash, org, user_id, purpose, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (hash) DO UPDATE SET user_id = excluded.user_id, purpose = excluded.purpose, expires_at = excluded.expires_at
		WHERE org = excluded.org`,
	sqlTokenTake: `DELETE FROM one_time_tokens WHERE hash = ?1 AND expires_at > ?2 RETURNING hash, org, user_id, purpose, expires_at`,

	sqlAPIKeyInsert: `INSERT INTO api_keys (id, org, doc, hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)`,
	sqlAPIKey:       `SELECT doc FROM api_keys WHERE id = ?1 AND org = ?2`,
	sqlAPIKeyByHash: `SELECT doc FROM api_keys WHERE hash = ?1`,
	sqlAPIKeys: `SELECT doc FROM api_keys WHERE org = ?1 AND (created_at, id) < (?2, ?3)
		ORDER BY created_at DESC, id DESC LIMIT ?4`,
	sqlAPIKeyDelete: `DELETE FROM api_keys WHERE id = ?1 AND org = ?2`,

	sqlGroupInsert: `INSERT INTO channel_groups (id, org, doc, version, name) VALUES (?1, ?2, ?3, ?4, ?5)`,
	sqlGroup:       `SELECT doc FROM channel_groups WHERE id = ?1 AND org = ?2`,
	sqlGroupUpdate: `UPDATE channel_groups SET version = version + 1, doc = ?4, name = ?5 WHERE id = ?1 AND org = ?2 AND version = ?3`,
	sqlGroups:      `SELECT doc FROM channel_groups WHERE org = ?1 AND (name, id) > (?2, ?3) ORDER BY name, id LIMIT ?4`,

	sqlFolderInsert: `INSERT INTO folders (id, org, doc, version, name) VALUES (?1, ?2, ?3, ?4, ?5)`,
	sqlFolder:       `SELECT doc FROM folders WHERE id = ?1 AND org = ?2`,
	sqlFolderUpdate: `UPDATE folders SET version = version + 1, doc = ?4, name = ?5 WHERE id = ?1 AND org = ?2 AND version = ?3`,
	sqlFolders:      `SELECT doc FROM folders WHERE org = ?1 AND (name, id) > (?2, ?3) ORDER BY name, id LIMIT ?4`,

	sqlAccountInsert:     `INSERT INTO carrier_accounts (id, org, doc, version, public_id, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
	sqlAccount:           `SELECT doc FROM carrier_accounts WHERE id = ?1 AND org = ?2`,
	sqlAccountByPublicID: `SELECT doc FROM carrier_accounts WHERE public_id = ?1`,
	sqlAccountUpdate: `UPDATE carrier_accounts SET version = version + 1, doc = ?4, public_id = ?5, name = ?6
		WHERE id = ?1 AND org = ?2 AND version = ?3`,
	sqlAccounts: `SELECT doc FROM carrier_accounts WHERE org = ?1 AND (name, id) > (?2, ?3) ORDER BY name, id LIMIT ?4`,

	sqlChannelInsert: `INSERT INTO channels (id, org, doc, version, name, account, family, address, public_id)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
	sqlChannel:           `SELECT doc FROM channels WHERE id = ?1 AND org = ?2`,
	sqlChannelByAddress:  `SELECT doc FROM channels WHERE org = ?1 AND account = ?2 AND family = ?3 AND address = ?4`,
	sqlChannelByPublicID: `SELECT doc FROM channels WHERE public_id = ?1`,
	sqlChannelUpdate: `UPDATE channels SET version = version + 1, doc = ?4, name = ?5, account = ?6, family = ?7, address = ?8, public_id = ?9
		WHERE id = ?1 AND org = ?2 AND version = ?3`,
	sqlChannels: `SELECT doc FROM channels WHERE org = ?1 AND (name, id) > (?2, ?3) ORDER BY name, id LIMIT ?4`,

	sqlContactInsert: `INSERT INTO contacts (id, org, doc, version, created_at) VALUES (?1, ?2, ?3, ?4, ?5)`,
	sqlContact:       `SELECT doc FROM contacts WHERE id = ?1 AND org = ?2`,
	sqlContactUpdate: `UPDATE contacts SET version = version + 1, doc = ?4 WHERE id = ?1 AND org = ?2 AND version = ?3`,
	sqlContacts: `SELECT doc FROM contacts WHERE org = ?1 AND (created_at, id) < (?2, ?3)
		ORDER BY created_at DESC, id DESC LIMIT ?4`,
	sqlIdentityInsert:    `INSERT INTO identities (id, org, doc, contact_id, family, address, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
	sqlIdentity:          `SELECT doc, consent_at FROM identities WHERE id = ?1 AND org = ?2`,
	sqlIdentityByAddress: `SELECT doc, consent_at FROM identities WHERE org = ?1 AND family = ?2 AND address = ?3`,
	sqlIdentityAndContact: `SELECT i.doc, i.consent_at, c.doc FROM identities i JOIN contacts c ON c.id = i.contact_id AND c.org = i.org
		WHERE i.org = ?1 AND i.family = ?2 AND i.address = ?3`,
	sqlIdentities:     `SELECT doc, consent_at FROM identities WHERE org = ?1 AND contact_id = ?2 ORDER BY created_at, id`,
	sqlIdentityUpdate: `UPDATE identities SET doc = ?3, consent_at = ?4 WHERE id = ?1 AND org = ?2`,
	sqlConsentAdd: `INSERT INTO consents (identity_id, org, opted_out, said_by, user_id, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (identity_id, at, opted_out, said_by, user_id) DO NOTHING`,

	sqlInteractionInsert: `INSERT INTO interactions (` + interactionCols + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
		?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)`,
	sqlInteraction: `SELECT ` + interactionCols + ` FROM interactions WHERE id = ?1 AND org = ?2`,
	sqlInteractionOpen: `SELECT ` + interactionCols + ` FROM interactions
		WHERE org = ?1 AND identity_id = ?2 AND channel_id = ?3 AND state <> 'resolved'`,
	sqlInteractionReopenable: `SELECT id FROM interactions
		WHERE org = ?1 AND identity_id = ?2 AND channel_id = ?3 AND state = 'resolved' AND resolved_at >= ?4
		ORDER BY resolved_at DESC LIMIT 1`,
	sqlInteractionReopen: `UPDATE interactions SET state = 'open', resolved_at = 0, resolved_by = '', changed_by = '', version = version + 1
		WHERE id = ?1 AND org = ?2 RETURNING ` + interactionCols,
	sqlInteractionChange: `UPDATE interactions SET version = version + 1, owner_type = ?4, owner_id = ?5, state = ?6, folder_id = ?7,
		resolved_at = ?8, resolved_by = ?9, label_ids = ?10, group_id = ?11, snoozed_until = ?12, snoozed_after = ?13, changed_by = ?14
		WHERE id = ?1 AND org = ?2 AND version = ?3 RETURNING ` + interactionCols,
	sqlInteractionSnoozesDue: `SELECT ` + interactionCols + ` FROM interactions
		WHERE state = 'snoozed' AND snoozed_until > 0 AND snoozed_until <= ?1 ORDER BY snoozed_until LIMIT ?2`,
	// ?7 is 1 for an inbound message, ?8 is 1 for an agent's answer.
	sqlInteractionAppend: `UPDATE interactions SET last_sequence = ?3, last_message_at = max(last_message_at, ?4),
		last_preview = ?5, last_direction = ?6, unread = unread + ?7,
		last_inbound_at = CASE WHEN ?7 THEN max(last_inbound_at, ?10) ELSE last_inbound_at END,
		waiting_since = CASE WHEN ?8 THEN 0 WHEN ?7 AND waiting_since = 0 THEN ?9 ELSE waiting_since END
		WHERE id = ?1 AND org = ?2 RETURNING ` + interactionCols,
	sqlInteractionPreview: `UPDATE interactions SET last_preview = ?4 WHERE id = ?1 AND org = ?2 AND last_sequence = ?3`,
	sqlInteractionReadByAgent: `UPDATE interactions SET agent_read_seq = min(?3, last_sequence), unread = (
			SELECT count(*) FROM messages m
			WHERE m.interaction_id = ?1 AND m.sequence > min(?3, interactions.last_sequence) AND m.direction = 'INBOUND')
		WHERE id = ?1 AND org = ?2 AND agent_read_seq < min(?3, last_sequence) RETURNING ` + interactionCols,
	sqlInteractionReadByContact: `UPDATE interactions SET contact_read_seq = min(?3, last_sequence)
		WHERE id = ?1 AND org = ?2 AND contact_read_seq < min(?3, last_sequence) RETURNING ` + interactionCols,

	// Keys of lists: organisation, what is listed, state, then below which key, then how many.
	sqlInteractionKeysOfGroup: `SELECT last_message_at, id FROM interactions
		WHERE org = ?1 AND group_id = ?2 AND state = ?3 AND (last_message_at, id) < (?4, ?5)
		ORDER BY last_message_at DESC, id DESC LIMIT ?6`,
	sqlInteractionKeysUnassigned: `SELECT last_message_at, id FROM interactions
		WHERE org = ?1 AND group_id = ?2 AND state = ?3 AND owner_type = 'Group' AND (last_message_at, id) < (?4, ?5)
		ORDER BY last_message_at DESC, id DESC LIMIT ?6`,
	sqlInteractionKeysOwned: `SELECT last_message_at, id FROM interactions
		WHERE org = ?1 AND owner_id = ?2 AND state = ?3 AND owner_type = 'User' AND (last_message_at, id) < (?4, ?5)
		AND group_id IN (SELECT value FROM json_each(?7))
		ORDER BY last_message_at DESC, id DESC LIMIT ?6`,
	sqlInteractionKeysOfContact: `SELECT last_message_at, id FROM interactions
		WHERE org = ?1 AND contact_id = ?2 AND state = ?3 AND (last_message_at, id) < (?4, ?5)
		AND group_id IN (SELECT value FROM json_each(?7))
		AND (?8 = '' OR owner_type = 'User' AND owner_id = ?8) AND (?9 = 0 OR owner_type = 'Group')
		ORDER BY last_message_at DESC, id DESC LIMIT ?6`,
	sqlCountOwned: `SELECT count(*) FROM (SELECT 1 FROM interactions WHERE org = ?1 AND owner_id = ?2 AND state = 'open'
		AND owner_type = 'User' AND group_id IN (SELECT value FROM json_each(?3)) LIMIT 100)`,
	sqlCountUnassigned: `SELECT count(*) FROM (SELECT 1 FROM interactions WHERE org = ?1
		AND group_id IN (SELECT value FROM json_each(?2)) AND state = 'open' AND owner_type = 'Group' LIMIT 100)`,
	sqlCountAll: `SELECT count(*) FROM (SELECT 1 FROM interactions WHERE org = ?1
		AND group_id IN (SELECT value FROM json_each(?2)) AND state = 'open' LIMIT 100)`,

	sqlChangeState:   `SELECT n, history FROM change_state WHERE id = 1`,
	sqlChangeMark:    `SELECT n FROM change_marks WHERE minute <= ?1 ORDER BY minute DESC LIMIT 1`,
	sqlChangeHistory: `UPDATE change_state SET history = lower(hex(randomblob(8))) WHERE id = 1`,
	sqlChangeMarksOld: `DELETE FROM change_marks WHERE minute IN (SELECT minute FROM change_marks
		WHERE minute < (SELECT max(minute) FROM change_marks WHERE minute <= ?1) LIMIT ?2)`,
	sqlChangedInteractions: `SELECT changed, group_id IN (SELECT value FROM json_each(?4)), ` + interactionCols + ` FROM interactions
		WHERE org = ?1 AND changed > ?2 ORDER BY changed LIMIT ?3`,
	sqlChangedMessages: `SELECT m.changed, i.group_id IN (SELECT value FROM json_each(?4)), ` + columnsOf("m", messageCols) + `
		FROM messages m CROSS JOIN interactions i ON i.id = m.interaction_id
		WHERE m.org = ?1 AND m.changed > ?2 ORDER BY m.changed LIMIT ?3`,

	// Nothing is inserted if the interaction is not there, or if the message is.
	sqlMessageInsert: `INSERT INTO messages (id, org, interaction_id, sequence, direction, channel_id, carrier_id, client_id, segments,
			status, status_rank, status_at, reason, error_code, history, doc)
		SELECT ?1, ?2, ?3, last_sequence + 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
		FROM interactions WHERE id = ?3 AND org = ?2
		ON CONFLICT DO NOTHING RETURNING seq, sequence`,
	sqlMessage: `SELECT ` + messageCols + ` FROM messages WHERE id = ?1 AND org = ?2`,
	sqlMessageByCarrierID: `SELECT ` + messageCols + ` FROM messages
		WHERE org = ?1 AND channel_id = ?2 AND carrier_id = ?3 AND carrier_id <> ''`,
	sqlMessageIDByID: `SELECT id FROM messages WHERE id = ?1 AND org = ?2 AND channel_id = ?3 AND direction = 'OUTBOUND'`,
	sqlMessageIDByCarrierID: `SELECT id FROM messages
		WHERE org = ?1 AND channel_id = ?2 AND carrier_id = ?3 AND carrier_id <> '' AND direction = 'OUTBOUND'`,
	sqlMessageByClientID: `SELECT ` + messageCols + ` FROM messages
		WHERE interaction_id = ?1 AND org = ?2 AND client_id = ?3 AND client_id <> ''`,
	sqlMessagesBefore: `SELECT ` + messageCols + ` FROM messages
		WHERE interaction_id = ?1 AND org = ?2 AND sequence < ?3 ORDER BY sequence DESC LIMIT ?4`,
	sqlMessagesAfter: `SELECT ` + messageCols + ` FROM messages
		WHERE interaction_id = ?1 AND org = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4`,
	sqlMessageStatus: `UPDATE messages SET status = ?3, status_rank = ?4, status_at = ?5, reason = ?6, error_code = ?7,
			history = iif(history = '', '', history || ',') || ?8
		WHERE id = ?1 AND org = ?2 AND status_rank < ?4 RETURNING ` + messageCols,
	sqlMessageNote: `UPDATE messages SET reason = ?3, error_code = ?4, history = iif(history = '', '', history || ',') || ?5
		WHERE id = ?1 AND org = ?2 AND (reason <> ?3 OR error_code <> ?4)`,
	sqlMessageRequeue: `UPDATE messages SET status = ?3, status_rank = ?4, status_at = ?5, reason = '', error_code = '', carrier_id = '',
			history = iif(history = '', '', history || ',') || ?6
		WHERE id = ?1 AND org = ?2 AND status IN ('failed', 'undeliverable') RETURNING seq`,
	sqlMessageCarrierID: `UPDATE OR IGNORE messages SET carrier_id = ?3 WHERE id = ?1 AND org = ?2 AND carrier_id = ''`,
	sqlMessageSegments:  `UPDATE messages SET segments = ?3 WHERE id = ?1 AND org = ?2 AND segments <> ?3`,
	sqlMessageDoc:       `UPDATE messages SET doc = ?3 WHERE id = ?1 AND org = ?2`,
	sqlEarlyPut: `INSERT INTO early_statuses (org, channel_id, carrier_id, status, expires_at, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (org, channel_id, carrier_id, status) DO NOTHING`,
	sqlEarlyTake: `DELETE FROM early_statuses WHERE org = ?1 AND channel_id = ?2 AND carrier_id = ?3 RETURNING seq, doc`,

	sqlInboxPut: `INSERT INTO inbox (id, org, partition, attempts, not_before, last_error, doc, body)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING`,
	// Queues: ?1 has the bit of each partition that is asked for.
	sqlInboxNew: `SELECT ` + inboxCols + ` FROM inbox
		WHERE not_before = 0 AND (?1 >> partition) & 1 ORDER BY seq LIMIT ?2`,
	sqlInboxRetried: `SELECT ` + inboxCols + ` FROM inbox
		WHERE seq IN (SELECT seq FROM inbox WHERE not_before > 0 AND not_before <= ?3 AND (?1 >> partition) & 1
			ORDER BY seq LIMIT ?2) ORDER BY seq`,
	sqlInboxDone:  `DELETE FROM inbox WHERE id = ?1`,
	sqlInboxRetry: `UPDATE inbox SET attempts = ?2, not_before = ?3, last_error = ?4 WHERE id = ?1`,
	sqlAsidePut: `INSERT INTO set_aside (id, org, at, expires_at, doc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (id) DO UPDATE SET at = excluded.at, expires_at = excluded.expires_at, doc = excluded.doc, body = excluded.body
		WHERE org = excluded.org`,
	sqlAsideTake: `DELETE FROM set_aside WHERE id = ?1 AND org = ?2 RETURNING doc, body`,
	sqlAsideList: `SELECT doc, body FROM set_aside WHERE org = ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4`,

	sqlFragmentPut: `INSERT INTO fragments (org, key, part, expires_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (org, key, part) DO NOTHING`,
	sqlFragments:       `SELECT part, doc FROM fragments WHERE org = ?1 AND key = ?2 ORDER BY part`,
	sqlFragmentsDrop:   `DELETE FROM fragments WHERE org = ?1 AND key = ?2`,
	sqlFragmentsExpire: `DELETE FROM fragments WHERE org = ?1 AND key = ?2 AND expires_at <= ?3`,

	sqlOutboxPut: `INSERT INTO outbox (seq, message_id, org, recipient, partition, head) VALUES (?1, ?2, ?3, ?4, ?5,
		NOT EXISTS (SELECT 1 FROM outbox WHERE org = ?3 AND recipient = ?4))`,
	sqlOutboxNew: `SELECT ` + outboxCols + ` FROM outbox o JOIN messages m ON m.seq = o.seq
		WHERE o.head = 1 AND o.not_before = 0 AND (?1 >> o.partition) & 1 ORDER BY o.seq LIMIT ?2`,
	sqlOutboxRetried: `SELECT ` + outboxCols + ` FROM outbox o JOIN messages m ON m.seq = o.seq
		WHERE o.seq IN (SELECT seq FROM outbox WHERE head = 1 AND not_before > 0 AND not_before <= ?3 AND (?1 >> partition) & 1
			ORDER BY seq LIMIT ?2) ORDER BY o.seq`,
	sqlOutboxSending: `UPDATE outbox SET sending_at = ?3 WHERE message_id = ?1 AND org = ?2 AND sending_at = 0`,
	sqlOutboxRetry: `UPDATE outbox SET sending_at = 0, attempts = attempts + 1, not_before = ?3
		WHERE message_id = ?1 AND org = ?2`,
	sqlOutboxPutOff:  `UPDATE outbox SET not_before = ?3 WHERE message_id = ?1 AND org = ?2 AND sending_at = 0`,
	sqlOutboxTake:    `DELETE FROM outbox WHERE message_id = ?1 AND org = ?2 RETURNING recipient`,
	sqlOutboxPromote: `UPDATE outbox SET head = 1 WHERE seq = (SELECT min(seq) FROM outbox WHERE org = ?1 AND recipient = ?2) AND head = 0`,
	sqlOutboxState:   `SELECT sending_at FROM outbox WHERE message_id = ?1 AND org = ?2`,
	sqlOutboxNext: `SELECT not_before FROM outbox WHERE head = 1 AND not_before >= 0 AND sending_at = 0 AND (?1 >> partition) & 1
		ORDER BY not_before LIMIT 1`,

	sqlMediaPut: `INSERT INTO pending_media (seq, message_id, org, file, partition) VALUES (?1, ?2, ?3, ?4, ?5)`,
	sqlMediaNew: `SELECT ` + mediaCols + ` FROM pending_media q JOIN messages m ON m.seq = q.seq
		WHERE q.not_before = 0 AND (?1 >> q.partition) & 1 ORDER BY q.seq, q.file LIMIT ?2`,
	sqlMediaRetried: `SELECT ` + mediaCols + ` FROM pending_media q JOIN messages m ON m.seq = q.seq
		WHERE q.rowid IN (SELECT rowid FROM pending_media WHERE not_before > 0 AND not_before <= ?3 AND (?1 >> partition) & 1
			ORDER BY seq, file LIMIT ?2) ORDER BY q.seq, q.file`,
	sqlMediaTake:  `DELETE FROM pending_media WHERE message_id = ?1 AND org = ?2 AND file = ?3`,
	sqlMediaRetry: `UPDATE pending_media SET attempts = attempts + 1, not_before = ?4 WHERE message_id = ?1 AND org = ?2 AND file = ?3`,
	sqlMediaNext:  `SELECT not_before FROM pending_media WHERE not_before >= 0 AND (?1 >> partition) & 1 ORDER BY not_before LIMIT 1`,

	// What is matched is put together by matchText: ?1. CROSS JOIN keeps the order in which the index gives.
	sqlSearchMessages: `SELECT m.seq, m.interaction_id, ` + searchedCols + ` FROM message_search CROSS JOIN messages m ON m.seq = message_search.rowid
		WHERE message_search MATCH ?1 AND m.org = ?2 AND message_search.rowid < ?3 AND message_search.rowid >= ?4
		ORDER BY message_search.rowid DESC LIMIT ?5`,
	sqlSearchContacts: `SELECT s.n, c.doc FROM contact_search CROSS JOIN search_contacts s ON s.n = contact_search.rowid
		CROSS JOIN contacts c ON c.id = s.contact_id
		WHERE contact_search MATCH ?1 AND c.org = ?2 AND contact_search.rowid < ?3 ORDER BY contact_search.rowid DESC LIMIT ?4`,
	sqlSearchTimesFrom:  `SELECT coalesce(min(block), 1 << 50) FROM search_times WHERE high >= ?1`,
	sqlSearchTimesUntil: `SELECT coalesce(max(block), -1) FROM search_times WHERE low < ?1`,
	sqlSearchTimesPut: `INSERT INTO search_times (block, low, high) VALUES (?1, ?2, ?3)
		ON CONFLICT (block) DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high)`,
	sqlSearchProgress: `SELECT above, below FROM search_progress WHERE id = 1`,
	sqlSearchLag:      `SELECT (SELECT coalesce(max(seq), 0) FROM messages) - above FROM search_progress WHERE id = 1`,
	sqlSearchNew: `SELECT ` + entryCols + ` FROM messages m JOIN interactions i ON i.id = m.interaction_id
		WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2`,
	sqlSearchAbove: `UPDATE search_progress SET above = ?2 WHERE id = 1 AND above = ?1`,
	sqlSearchOld: `SELECT ` + entryCols + ` FROM messages m JOIN interactions i ON i.id = m.interaction_id
		WHERE m.seq <= ?1 ORDER BY m.seq DESC LIMIT ?2`,
	sqlSearchBelow:           `UPDATE search_progress SET below = ?2 WHERE id = 1 AND below = ?1`,
	sqlSearchMessage:         `SELECT ` + entryCols + ` FROM messages m JOIN interactions i ON i.id = m.interaction_id WHERE m.seq = ?1`,
	sqlSearchMessagePut:      `INSERT OR REPLACE INTO message_search (rowid, terms) VALUES (?1, ?2)`,
	sqlSearchMessageDrop:     `DELETE FROM message_search WHERE rowid = ?1`,
	sqlSearchAgain:           `SELECT seq, times FROM search_again WHERE seq > 0 ORDER BY seq LIMIT ?1`,
	sqlSearchAgainDone:       `DELETE FROM search_again WHERE seq = ?1 AND times = ?2`,
	sqlSearchContact:         `SELECT org, doc FROM contacts WHERE id = ?1`,
	sqlSearchContactsChanged: `SELECT n, contact_id, changes FROM search_contacts WHERE changes > 0 LIMIT ?1`,
	sqlSearchContactPut:      `INSERT OR REPLACE INTO contact_search (rowid, terms) VALUES (?1, ?2)`,
	sqlSearchContactDrop:     `DELETE FROM contact_search WHERE rowid = ?1`,
	sqlSearchContactDone:     `UPDATE search_contacts SET changes = 0 WHERE n = ?1 AND changes = ?2`,
	sqlSearchContactGone:     `DELETE FROM search_contacts WHERE n = ?1 AND changes = ?2`,

	sqlLockAcquire: `INSERT INTO locks (key, owner, token, expires_at) VALUES (?1, ?2, 1, ?4)
		ON CONFLICT (key) DO UPDATE SET token = token + (owner <> excluded.owner OR expires_at <= ?3),
			owner = excluded.owner, expires_at = excluded.expires_at
		WHERE owner = excluded.owner OR expires_at <= ?3 RETURNING token`,
	sqlLockRelease: `UPDATE locks SET expires_at = 0 WHERE key = ?1 AND owner = ?2 AND token = ?3`,
	sqlLocks:       `SELECT key, owner, token, expires_at FROM locks WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3`,
	sqlKeyReserve: `INSERT INTO idempotency_keys (org, key, body_hash, done, status, body, expires_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		ON CONFLICT (org, key) DO UPDATE SET body_hash = excluded.body_hash, done = excluded.done, status = excluded.status,
			body = excluded.body, expires_at = excluded.expires_at
		WHERE expires_at <= ?8`,
	sqlKey: `SELECT key, body_hash, done, status, body, expires_at FROM idempotency_keys WHERE org = ?1 AND key = ?2`,
	sqlKeyComplete: `UPDATE idempotency_keys SET done = 1, status = ?3, body = ?4, expires_at = max(expires_at, ?5)
		WHERE org = ?1 AND key = ?2`,
	sqlKeyDrop:     `DELETE FROM idempotency_keys WHERE org = ?1 AND key = ?2 AND done = 0`,
	sqlAuditInsert: `INSERT INTO audit_records (id, org, doc, at) VALUES (?1, ?2, ?3, ?4)`,
	sqlAudit:       `SELECT doc FROM audit_records WHERE id = ?1 AND org = ?2`,
	sqlAuditList:   `SELECT doc FROM audit_records WHERE org = ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4`,

	// Dumps: what comes after a key, in the order of the kind's keys.
	sqlDumpOrganisations: `SELECT doc FROM organisations WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpUsers:         `SELECT doc FROM users WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpSessions:      `SELECT ` + sessionCols + ` FROM sessions WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpTokens:        `SELECT hash, org, user_id, purpose, expires_at FROM one_time_tokens WHERE hash > ?1 ORDER BY hash LIMIT ?2`,
	sqlDumpAPIKeys:       `SELECT doc FROM api_keys WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpGroups:        `SELECT doc FROM channel_groups WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpFolders:       `SELECT doc FROM folders WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpAccounts:      `SELECT doc FROM carrier_accounts WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpChannels:      `SELECT doc FROM channels WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpContacts:      `SELECT doc FROM contacts WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpIdentities:    `SELECT doc, consent_at FROM identities WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpConsents: `SELECT identity_id, org, user_id, opted_out, said_by, at FROM consents
		WHERE (identity_id, at, opted_out, said_by, user_id) > (?1, ?2, ?3, ?4, ?5)
		ORDER BY identity_id, at, opted_out, said_by, user_id LIMIT ?6`,
	sqlDumpMessages: `SELECT o.seq IS NOT NULL, coalesce(o.attempts, 0), coalesce(o.not_before, 0), coalesce(o.sending_at, 0),
			(SELECT json_group_array(json_object('index', file, 'attempts', attempts, 'notBefore', not_before))
				FROM (SELECT * FROM pending_media WHERE message_id = m.id ORDER BY file)),
			m.doc, m.sequence, m.carrier_id, m.segments, m.status, m.status_at, m.reason, m.error_code, m.history
		FROM messages m LEFT JOIN outbox o ON o.seq = m.seq
		WHERE (m.interaction_id, m.sequence) > (?1, ?2) ORDER BY m.interaction_id, m.sequence LIMIT ?3`,
	sqlDumpInteractions: `SELECT ` + interactionCols + ` FROM interactions WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpReactions: `SELECT doc FROM reactions WHERE (org, message_id, sender_type, sender_id) > (?1, ?2, ?3, ?4)
		ORDER BY org, message_id, sender_type, sender_id LIMIT ?5`,
	sqlDumpEarly: `SELECT org, channel_id, carrier_id, json_group_array(json_array(seq, CAST(doc AS TEXT))) FROM early_statuses
		WHERE (org, channel_id, carrier_id) > (?1, ?2, ?3)
		GROUP BY org, channel_id, carrier_id ORDER BY org, channel_id, carrier_id LIMIT ?4`,
	sqlDumpInbox: `SELECT ` + inboxCols + ` FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpAside: `SELECT doc, body FROM set_aside WHERE id > ?1 ORDER BY id LIMIT ?2`,
	sqlDumpFragments: `SELECT org, key, part, expires_at, doc FROM fragments
		WHERE (org, key, part) > (?1, ?2, ?3) ORDER BY org, key, part LIMIT ?4`,
	sqlDumpKeys: `SELECT org, key, body_hash, done, status, body, expires_at FROM idempotency_keys
		WHERE (org, key) > (?1, ?2) ORDER BY org, key LIMIT ?3`,
	sqlDumpAudits: `SELECT doc FROM audit_records WHERE id > ?1 ORDER BY id LIMIT ?2`,

	sqlDumpDeliveries: `SELECT doc FROM webhook_deliveries WHERE id > ?1 ORDER BY id LIMIT ?2`,

	// Loads: parameters as in the inserts above; what is there is replaced and keeps its place.
	sqlLoadOrganisation: `INSERT INTO organisations (id, doc, version, created_at) SELECT ?1, ?3, ?4, ?5 WHERE ?1 = ?2
		ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, version = excluded.version, created_at = excluded.created_at`,
	sqlLoadUser: `INSERT INTO users (id, org, doc, version, email, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, version = excluded.version, email = excluded.email,
			name = excluded.name`,
	sqlLoadSession: `INSERT INTO sessions (` + sessionCols + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, user_id = excluded.user_id, refresh_hash = excluded.refresh_hash,
			previous = excluded.previous, created_at = excluded.created_at, expires_at = excluded.expires_at, ended_at = excluded.ended_at`,
	sqlLoadToken: `INSERT INTO one_time_tokens (hash, org, user_id, purpose, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (hash) DO UPDATE SET org = excluded.org, user_id = excluded.user_id, purpose = excluded.purpose,
			expires_at = excluded.expires_at`,
	sqlLoadAPIKey: `INSERT INTO api_keys (id, org, doc, hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, hash = excluded.hash, created_at = excluded.created_at`,
	sqlLoadGroup: `INSERT INTO channel_groups (id, org, doc, version, name) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, version = excluded.version, name = excluded.name`,
	sqlLoadFolder: `INSERT INTO folders (id, org, doc, version, name) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, version = excluded.version, name = excluded.name`,
	sqlLoadAccount: `INSERT INTO carrier_accounts (id, org, doc, version, public_id, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, version = excluded.version, public_id = excluded.public_id,
			name = excluded.name`,
	sqlLoadChannel: `INSERT INTO channels (id, org, doc, version, name, account, family, address, public_id)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, version = excluded.version, name = excluded.name,
			account = excluded.account, family = excluded.family, address = excluded.address, public_id = excluded.public_id`,
	sqlLoadContact: `INSERT INTO contacts (id, org, doc, version, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, version = excluded.version, created_at = excluded.created_at`,
	sqlLoadIdentity: `INSERT INTO identities (id, org, doc, contact_id, family, address, created_at, consent_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, contact_id = excluded.contact_id, family = excluded.family,
			address = excluded.address, created_at = excluded.created_at, consent_at = excluded.consent_at`,
	sqlLoadMessage: `INSERT INTO messages (id, org, interaction_id, direction, channel_id, carrier_id, client_id, segments,
			status, status_rank, status_at, reason, error_code, history, doc, sequence)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, interaction_id = excluded.interaction_id, direction = excluded.direction,
			channel_id = excluded.channel_id, carrier_id = excluded.carrier_id, client_id = excluded.client_id,
			segments = excluded.segments, status = excluded.status, status_rank = excluded.status_rank,
			status_at = excluded.status_at, reason = excluded.reason, error_code = excluded.error_code,
			history = excluded.history, doc = excluded.doc, sequence = excluded.sequence RETURNING seq`,
	sqlLoadSequence: `UPDATE interactions SET last_sequence = ?3 WHERE id = ?1 AND org = ?2 AND last_sequence < ?3`,
	sqlLoadOutbox: `INSERT INTO outbox (seq, message_id, org, recipient, partition, head, attempts, not_before, sending_at)
		VALUES (?1, ?2, ?3, ?4, ?5, NOT EXISTS (SELECT 1 FROM outbox WHERE org = ?3 AND recipient = ?4 AND seq < ?1), ?6, ?7, ?8)
		ON CONFLICT (message_id) DO UPDATE SET attempts = excluded.attempts, not_before = excluded.not_before,
			sending_at = excluded.sending_at`,
	sqlLoadOutboxBehind: `UPDATE outbox SET head = 0 WHERE org = ?1 AND recipient = ?2 AND seq > ?3 AND head = 1`,
	sqlLoadMediaDrop:    `DELETE FROM pending_media WHERE message_id = ?1`,
	sqlLoadMedia: `INSERT INTO pending_media (seq, message_id, org, file, partition, attempts, not_before)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
	sqlLoadInteraction: `INSERT INTO interactions (` + interactionCols + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
		?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)
		ON CONFLICT (id) DO UPDATE SET org = ?2, user_id = ?3, contact_id = ?4, identity_id = ?5, channel_id = ?6, channel_type = ?7,
			group_id = ?8, folder_id = ?9, owner_type = ?10, owner_id = ?11, state = ?12, contact_name = ?13,
			contact_address = ?14, last_sequence = ?15, last_message_at = ?16, last_preview = ?17, last_direction = ?18,
			last_inbound_at = ?19, waiting_since = ?20, unread = ?21, agent_read_seq = ?22, contact_read_seq = ?23,
			version = ?24, created_at = ?25, resolved_at = ?26, resolved_by = ?27, schema_version = ?28, schema_date = ?29,
			label_ids = ?30, changed_by = ?31, snoozed_until = ?32, snoozed_after = ?33`,
	sqlLoadInbox: `INSERT INTO inbox (id, org, partition, attempts, not_before, last_error, doc, body)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, partition = excluded.partition, attempts = excluded.attempts,
			not_before = excluded.not_before, last_error = excluded.last_error, doc = excluded.doc, body = excluded.body`,
	sqlLoadAside: `INSERT INTO set_aside (id, org, at, expires_at, doc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, at = excluded.at, expires_at = excluded.expires_at, doc = excluded.doc,
			body = excluded.body`,
	sqlLoadFragment: `INSERT INTO fragments (org, key, part, expires_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (org, key, part) DO UPDATE SET expires_at = excluded.expires_at, doc = excluded.doc`,
	sqlLoadKey: `INSERT INTO idempotency_keys (org, key, body_hash, done, status, body, expires_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		ON CONFLICT (org, key) DO UPDATE SET body_hash = excluded.body_hash, done = excluded.done, status = excluded.status,
			body = excluded.body, expires_at = excluded.expires_at`,
	sqlLoadAudit: `INSERT INTO audit_records (id, org, doc, at) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, doc = excluded.doc, at = excluded.at`,
	sqlLoadDelivery: `INSERT INTO webhook_deliveries (id, org, webhook_id, partition, state, not_before, created_at, expires_at, doc)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, webhook_id = excluded.webhook_id, partition = excluded.partition,
			state = excluded.state, not_before = excluded.not_before, created_at = excluded.created_at, expires_at = excluded.expires_at,
			doc = excluded.doc`,
	sqlMarker:     `SELECT value FROM markers WHERE name = ?1`,
	sqlMarkerSet:  `INSERT INTO markers (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
	sqlMarkerDrop: `DELETE FROM markers WHERE name = ?1`,

	sqlInspectLeases: `SELECT key, owner, token, expires_at FROM locks WHERE key > '' AND expires_at > 0 ORDER BY key LIMIT 1000`,
	// Counts: no further than ?1.
	sqlInspectInbox:        `SELECT count(*) FROM (SELECT 1 FROM inbox WHERE seq > 0 LIMIT ?1)`,
	sqlInspectInboxFailed:  `SELECT count(*) FROM (SELECT 1 FROM inbox WHERE not_before > 0 LIMIT ?1)`,
	sqlInspectInboxOldest:  `SELECT coalesce(json_extract(CAST(doc AS TEXT), '$.receivedAt'), 0) FROM inbox WHERE seq > 0 ORDER BY seq LIMIT 1`,
	sqlInspectOutbox:       `SELECT count(*) FROM (SELECT 1 FROM outbox WHERE seq > 0 LIMIT ?1)`,
	sqlInspectOutboxFailed: `SELECT count(*) FROM (SELECT 1 FROM outbox WHERE head = 1 AND not_before > 0 AND attempts > 0 LIMIT ?1)`,
	sqlInspectOutboxOldest: `SELECT coalesce(json_extract(CAST(m.doc AS TEXT), '$.createdAt'), 0) FROM outbox o JOIN messages m ON m.seq = o.seq
		WHERE o.seq > 0 ORDER BY o.seq LIMIT 1`,
	sqlInspectMedia:       `SELECT count(*) FROM (SELECT 1 FROM pending_media WHERE not_before >= 0 LIMIT ?1)`,
	sqlInspectMediaFailed: `SELECT count(*) FROM (SELECT 1 FROM pending_media WHERE not_before > 0 LIMIT ?1)`,
	sqlInspectMediaOldest: `SELECT coalesce(json_extract(CAST(m.doc AS TEXT), '$.createdAt'), 0) FROM messages m
		WHERE m.seq = (SELECT min(seq) FROM (SELECT seq FROM pending_media WHERE not_before >= 0 LIMIT 100000))`,
	sqlInspectDeliveries:       `SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE state = 'pending' AND not_before >= 0 LIMIT ?1)`,
	sqlInspectDeliveriesFailed: `SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE state = 'pending' AND not_before > 0 LIMIT ?1)`,
	sqlInspectDeliveriesOldest: `SELECT coalesce(min(created_at), 0)
		FROM (SELECT created_at FROM webhook_deliveries WHERE state = 'pending' AND not_before >= 0 LIMIT 10000)`,
	sqlInspectAside:       `SELECT count(*) FROM (SELECT 1 FROM set_aside WHERE expires_at > 0 LIMIT ?1)`,
	sqlInspectAsideOldest: `SELECT at FROM set_aside WHERE expires_at > 0 ORDER BY expires_at LIMIT 1`,
	sqlInspectExpired: `SELECT (SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires_at <= ?1 LIMIT ?2))
		+ (SELECT count(*) FROM (SELECT 1 FROM one_time_tokens WHERE expires_at <= ?1 LIMIT ?2))
		+ (SELECT count(*) FROM (SELECT 1 FROM idempotency_keys WHERE expires_at <= ?1 LIMIT ?2))
		+ (SELECT count(*) FROM (SELECT 1 FROM early_statuses WHERE expires_at <= ?1 LIMIT ?2))
		+ (SELECT count(*) FROM (SELECT 1 FROM set_aside WHERE expires_at <= ?1 LIMIT ?2))
		+ (SELECT count(*) FROM (SELECT 1 FROM fragments WHERE expires_at <= ?1 LIMIT ?2))
		+ (SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE expires_at <= ?1 LIMIT ?2))`,
})

// reads tells which statements change nothing.
var reads = func() (r [stmtCount]bool) {
	for i, text := range statements {
		r[i] = strings.HasPrefix(text, "SELECT")
	}
	return r
}()
