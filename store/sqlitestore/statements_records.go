package sqlitestore

// The statements of records that came with plain ones, after theirs.
const (
	sqlConsents stmt = sqlPlain + stmt(kindCount)*opCount + iota
	sqlIdentityByAlias
	sqlIdentityAndContactByAlias
	sqlIdentityAddress
	sqlContactsByExternalID
	sqlMessageExists
	sqlReaction
	sqlReactionPut
	sqlReactionTold
	sqlReactions
	sqlDeliveryPut
	sqlDelivery
	sqlDeliverySet
	sqlDeliveries
	sqlDeliveriesDue
	sqlDeliveryNext
	sqlSweepDeliveries

	stmtCount
)

// withRecords adds the statements of records.
func withRecords(all [stmtCount]string) [stmtCount]string {
	plainStatements(all[sqlPlain:])

	all[sqlConsents] = `SELECT seq, opted_out, said_by, user_id, at FROM consents
		WHERE org = ?1 AND identity_id = ?2 AND (at, seq) < (?3, ?4) ORDER BY at DESC, seq DESC LIMIT ?5`
	all[sqlIdentityByAlias] = `SELECT i.doc, i.consent_at FROM identity_aliases a JOIN identities i ON i.id = a.identity_id AND i.org = a.org
		WHERE a.org = ?1 AND a.family = ?2 AND a.address = ?3`
	all[sqlIdentityAndContactByAlias] = `SELECT i.doc, i.consent_at, c.doc FROM identity_aliases a
		JOIN identities i ON i.id = a.identity_id AND i.org = a.org JOIN contacts c ON c.id = i.contact_id AND c.org = i.org
		WHERE a.org = ?1 AND a.family = ?2 AND a.address = ?3`
	all[sqlIdentityAddress] = `UPDATE identities SET address = ?3 WHERE id = ?1 AND org = ?2`
	// CROSS: from the links to the contacts, never the other way round.
	all[sqlContactsByExternalID] = `SELECT c.doc FROM external_ids e CROSS JOIN contacts c ON c.id = e.contact_id AND c.org = e.org
		WHERE e.org = ?1 AND e.system = ?2 AND e.external_id = ?3 GROUP BY e.contact_id ORDER BY c.created_at, c.id LIMIT ?4`

	all[sqlMessageExists] = `SELECT 1 FROM messages WHERE id = ?1 AND org = ?2`
	all[sqlReaction] = `SELECT doc FROM reactions WHERE org = ?1 AND message_id = ?2 AND sender_type = ?3 AND sender_id = ?4`
	all[sqlReactionPut] = `INSERT INTO reactions (org, message_id, sender_type, sender_id, emoji, at, doc)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (org, message_id, sender_type, sender_id)
		DO UPDATE SET emoji = excluded.emoji, at = excluded.at, doc = excluded.doc`
	all[sqlReactionTold] = `UPDATE messages SET changed = changed WHERE id = ?1 AND org = ?2` // its trigger gives it a number
	all[sqlReactions] = `SELECT doc FROM reactions WHERE org = ?1 AND message_id IN (SELECT value FROM json_each(?2)) AND emoji <> ''
		ORDER BY at, message_id, sender_type, sender_id`

	all[sqlDeliveryPut] = `INSERT INTO webhook_deliveries (id, org, webhook_id, partition, state, not_before, created_at, expires_at, doc)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING`
	all[sqlDelivery] = `SELECT doc FROM webhook_deliveries WHERE id = ?1 AND org = ?2`
	all[sqlDeliverySet] = `UPDATE webhook_deliveries SET state = ?3, not_before = ?4, expires_at = ?5, doc = ?6 WHERE id = ?1 AND org = ?2`
	all[sqlDeliveries] = `SELECT doc FROM webhook_deliveries WHERE org = ?1 AND webhook_id = ?2 AND (created_at, id) < (?3, ?4)
		ORDER BY created_at DESC, id DESC LIMIT ?5`
	all[sqlDeliveriesDue] = `SELECT doc FROM webhook_deliveries
		WHERE state = 'pending' AND not_before <= ?2 AND (?1 >> partition) & 1 ORDER BY not_before, id LIMIT ?3`
	all[sqlDeliveryNext] = `SELECT not_before FROM webhook_deliveries
		WHERE state = 'pending' AND not_before >= 0 AND (?1 >> partition) & 1 ORDER BY not_before LIMIT 1`
	all[sqlSweepDeliveries] = `DELETE FROM webhook_deliveries
		WHERE rowid IN (SELECT rowid FROM webhook_deliveries WHERE expires_at <= ?1 LIMIT ?2)`
	return all
}
