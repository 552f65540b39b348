package mongostore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The names of the collections.
const (
	collOrganisations = "organisations"
	collUsers         = "users"
	collSessions      = "sessions"
	collTokens        = "one_time_tokens"
	collAPIKeys       = "api_keys"
	collGroups        = "channel_groups"
	collFolders       = "folders"
	collAccounts      = "carrier_accounts"
	collChannels      = "channels"
	collContacts      = "contacts"
	collIdentities    = "identities"
	collConsents      = "consents"
	collReactions     = "reactions"
	collDeliveries    = "webhook_deliveries"
	collLocks         = "locks"
	collIdempotency   = "idempotency_keys"
	collAudit         = "audit_records"
	collPings         = "pings"
	collMarkers       = "markers"
	collMigrations    = "schema_migrations"
	collInteractions  = "interactions"
	collMessages      = "messages"
	collEarly         = "early_statuses"
	collInbox         = "inbox"
	collAside         = "set_aside"
	collFragments     = "fragments"
	collChanges       = "changes"
)

// fieldEnd is when a document may go: a date, because expiry by the server goes by dates. Sweep goes by it too.
const fieldEnd = "expireAt"

// endGrace is how much later than Sweep the server removes what has ended.
const endGrace = 24 * time.Hour

// A collection of the schema.
type collection struct {
	name     string
	holds    string // what one document is
	shardKey bson.D // nil: it stays unsharded, as docs/adr/0009 explains
	indexes  []index
}

// An index besides that of _id, and what it is there for.
type index struct {
	keys   bson.D
	unique bool
	sparse bool   // documents that have none of the fields are left out: only where most have none, and never for what is unique
	ends   bool   // Sweep goes by it, and so does the server if Options.ServerExpiry says so and it can
	serves string // the queries
}

// name is made of the keys, as the server does it: "organisationId_1_name_1__id_1".
func (i index) name() string {
	var parts []string
	for _, k := range i.keys {
		parts = append(parts, fmt.Sprintf("%s_%v", k.Key, k.Value))
	}
	return strings.Join(parts, "_")
}

// ascending makes keys of an index. A list in descending order reads it backwards.
func ascending(fields ...string) bson.D {
	d := make(bson.D, 0, len(fields))
	for _, f := range fields {
		d = append(d, bson.E{Key: f, Value: int32(1)})
	}
	return d
}

// byHash is the shard key of collections whose documents are asked for by _id alone.
var byHash = bson.D{{Key: "_id", Value: "hashed"}}

// byOrganisation is the shard key of collections that grow with an organisation's traffic, where nothing else has to be
// unique: each call goes to one shard, each list to those that have the organisation.
var byOrganisation = ascending(fieldOrg, "_id")

// ending is the index of all collections whose documents end.
var ending = index{keys: ascending(fieldEnd), ends: true, serves: "Sweep"}

// byNameIndex serves lists by name.
func byNameIndex(call string) index {
	return index{keys: ascending(fieldOrg, "name", "_id"), serves: call}
}

// schema returns all collections: this table is what EnsureIndexes makes, and what the documentation is generated from.
func schema() []collection {
	return slices.Concat(baseSchema, plainSchema, trafficColls)
}

var baseSchema = []collection{
	{name: collOrganisations, holds: "an organisation", indexes: []index{
		{keys: ascending("createdAt", "_id"), serves: "AllOrganisations"},
	}},
	{name: collUsers, holds: "a user", indexes: []index{
		{keys: ascending("email"), unique: true, serves: "UserByEmail; an e-mail address is one user's over all organisations"},
		byNameIndex("Users"),
	}},
	{name: collSessions, holds: "a login", shardKey: byHash, indexes: []index{
		{keys: ascending(fieldOrg, "userId", "endedAt"), serves: "EndSessions"},
		ending,
	}},
	{name: collTokens, holds: "a one-time token, under its hash", shardKey: byHash, indexes: []index{ending}},
	{name: collAPIKeys, holds: "an API key", indexes: []index{
		{keys: ascending("hash"), unique: true, serves: "APIKeyByHash; a hash is one key's over all organisations"},
		{keys: ascending(fieldOrg, "createdAt", "_id"), serves: "APIKeys"},
	}},
	{name: collGroups, holds: "a channel group", indexes: []index{byNameIndex("Groups")}},
	{name: collFolders, holds: "a folder", indexes: []index{byNameIndex("Folders")}},
	{name: collAccounts, holds: "a carrier account with its sealed credentials", indexes: []index{
		{keys: ascending("publicId"), unique: true, serves: "CarrierAccountByPublicID; a public id is one account's over all organisations"},
		byNameIndex("CarrierAccounts"),
	}},
	{name: collChannels, holds: "a digital channel", indexes: []index{
		{keys: ascending(fieldOrg, fieldAccount, fieldFamily, "address"), unique: true, serves: "ChannelByAddress; an address is one channel's per account and family"},
		{keys: ascending(fieldWidget), unique: true, serves: "LiveChatChannel; a widget's public id is one channel's over all organisations"},
		byNameIndex("Channels"),
	}},
	{name: collContacts, holds: "a contact", shardKey: byOrganisation, indexes: []index{
		{keys: ascending(fieldOrg, "createdAt", "_id"), serves: "Contacts"},
		{keys: ascending(fieldOrg, fieldTerms, "createdAt", "_id"), serves: "SearchContacts"},
		{keys: ascending(fieldOrg, "externalIds.id"), serves: "ContactsByExternalID"},
	}},
	{name: collIdentities, holds: "what a contact is on a channel: its address, aliases and state of consent", shardKey: ascending(fieldOrg), indexes: []index{
		{
			keys: ascending(fieldOrg, "channelType", fieldAddresses), unique: true,
			serves: "ResolveIdentity, IdentityByAddress, SetConsent; an address is one identity's per organisation and family, its own or an alias",
		},
		{keys: ascending(fieldOrg, "contactId", "createdAt", "_id"), serves: "Identities"},
		{keys: ascending(fieldOrg, "externalIds.id"), serves: "ContactsByExternalID"},
	}},
	{name: collConsents, holds: "a word about consent; only ever added to", shardKey: byHash, indexes: []index{
		{keys: ascending(fieldOrg, "identityId", "at", "_id"), serves: "Consents"},
		{keys: ascending(consentOrder...), serves: "Dump"},
	}},
	{name: collReactions, holds: "a reaction of one sender to one message", shardKey: ascending(fieldOrg, "messageId"), indexes: []index{
		{keys: ascending(reactionOrder...), unique: true, serves: "SetReaction, Reactions; a sender has one reaction to a message"},
	}},
	{name: collLocks, holds: "a lease, under its key", shardKey: byHash, indexes: []index{
		{keys: ascending("expiresAt"), serves: "Inspect: leases that were not released"},
	}},
	{name: collIdempotency, holds: "an Idempotency-Key and its answer", shardKey: byHash, indexes: []index{ending}},
	{name: collAudit, holds: "an audit record", shardKey: byOrganisation, indexes: []index{
		{keys: ascending(fieldOrg, "at", "_id"), serves: "AuditRecords"},
	}},
	{name: collChanges, holds: "the number of the newest change, and what it was at some minutes"},
	{name: collPings, holds: "what Ping writes to: one document"},
	{name: collMarkers, holds: "what the program remembers of the store itself, by its name"},
	{name: collMigrations, holds: "a migration that was applied, under its number"},
}

// Difference is what a database has otherwise than the program.
type Difference struct {
	Collection string
	Index      string
	Problem    string
}

// String says it in one line.
func (d Difference) String() string {
	return fmt.Sprintf("collection %s, index %s: %s", d.Collection, d.Index, d.Problem)
}

// buildTime is how long EnsureIndexes may take where its context does not say: an index of a large collection is not built
// in the time of a call.
const buildTime = time.Hour

// EnsureIndexes brings the database up to date: it applies the migrations that it has not had, creates the indexes that are
// missing, and reports what is there otherwise: indexes whose keys or options
// differ, and such that the program does not know. It changes and drops none: on large collections that is for a person
// to time. Several nodes may call it at once.
func (s *Store) EnsureIndexes(ctx context.Context) ([]Difference, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, buildTime)
		defer cancel()
	}
	if err := s.migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return s.indexes(ctx, true)
}

// CheckIndexes reports what EnsureIndexes would, and what is missing, and changes nothing.
func (s *Store) CheckIndexes(ctx context.Context) ([]Difference, error) {
	return s.indexes(ctx, false)
}

func (s *Store) indexes(ctx context.Context, create bool) ([]Difference, error) {
	var diffs []Difference
	for _, c := range schema() {
		more, err := run(ctx, s, func(ctx context.Context) ([]Difference, error) { return s.indexesOf(ctx, c, create) })
		if err != nil {
			return diffs, fmt.Errorf("indexes of %s: %w", c.name, err)
		}
		diffs = append(diffs, more...)
	}
	return diffs, nil
}

func (s *Store) indexesOf(ctx context.Context, c collection, create bool) ([]Difference, error) {
	have, err := s.indexSpecs(ctx, c.name)
	if err != nil {
		return nil, err
	}
	var diffs []Difference
	var missing []mongo.IndexModel
	known := map[string]bool{"_id_": true, "_id_hashed": true}
	for _, i := range c.indexes {
		known[i.name()] = true
		spec, ok := have[i.name()]
		switch {
		case !ok && create:
			missing = append(missing, s.indexModel(i))
		case !ok:
			diffs = append(diffs, Difference{c.name, i.name(), "is missing"})
		default:
			if problem := s.differs(i, spec); problem != "" {
				diffs = append(diffs, Difference{c.name, i.name(), problem})
			}
		}
	}
	if c.shardKey != nil {
		known[index{keys: c.shardKey}.name()] = true // made by sharding
	}
	for name := range have {
		if !known[name] {
			diffs = append(diffs, Difference{c.name, name, "is not one of this program's"})
		}
	}
	slices.SortFunc(diffs, func(a, b Difference) int { return strings.Compare(a.Index, b.Index) })
	if len(missing) == 0 {
		return diffs, nil
	}
	_, err = s.coll(c.name).Indexes().CreateMany(ctx, missing)
	if s.serverExpiry.Load() && isNoExpiry(err) {
		s.serverExpiry.Store(false) // Sweep goes by these indexes all the same
		return s.indexesOf(ctx, c, create)
	}
	return diffs, err
}

// isNoExpiry reports whether a server knows no expiry.
func isNoExpiry(err error) bool {
	const notImplemented = 238
	se := mongo.ServerError(nil)
	return isServerError(err, &se) && se.HasErrorCode(notImplemented)
}

func (s *Store) indexSpecs(ctx context.Context, name string) (map[string]mongo.IndexSpecification, error) {
	all, err := s.coll(name).Indexes().ListSpecifications(ctx)
	if se := mongo.ServerError(nil); err != nil {
		if isServerError(err, &se) && se.HasErrorCode(26) { // NamespaceNotFound
			return nil, nil
		}
		return nil, err
	}
	m := make(map[string]mongo.IndexSpecification, len(all))
	for _, i := range all {
		m[i.Name] = i
	}
	return m, nil
}

func (s *Store) indexModel(i index) mongo.IndexModel {
	o := options.Index().SetName(i.name())
	if i.unique {
		o.SetUnique(true)
	}
	if i.sparse {
		o.SetSparse(true)
	}
	if i.ends && s.serverExpiry.Load() {
		o.SetExpireAfterSeconds(int32(endGrace / time.Second))
	}
	return mongo.IndexModel{Keys: i.keys, Options: o}
}

// differs says how an index differs from what it should be; "" if it does not.
func (s *Store) differs(i index, have mongo.IndexSpecification) string {
	var keys bson.D
	if err := bson.Unmarshal(have.KeysDocument, &keys); err != nil {
		return "has keys that cannot be read"
	}
	if fmt.Sprint(keys) != fmt.Sprint(i.keys) {
		return fmt.Sprintf("has the keys %v", keys)
	}
	if unique := have.Unique != nil && *have.Unique; unique != i.unique {
		return fmt.Sprintf("unique is %t, not %t", unique, i.unique)
	}
	if sparse := have.Sparse != nil && *have.Sparse; sparse != i.sparse {
		return fmt.Sprintf("sparse is %t, not %t", sparse, i.sparse)
	}
	ends := have.ExpireAfterSeconds != nil
	if want := i.ends && s.serverExpiry.Load(); ends != want {
		return fmt.Sprintf("expiry by the server is %t, not %t", ends, want)
	}
	return ""
}

// SchemaMarkdown is the table of collections and indexes for the documentation, generated from what EnsureIndexes makes.
func SchemaMarkdown() string {
	var b strings.Builder
	b.WriteString("| collection | one document is | shard key |\n|---|---|---|\n")
	for _, c := range schema() {
		shard := "unsharded"
		if c.shardKey != nil {
			shard = "`" + keysText(c.shardKey) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.name, c.holds, shard)
	}
	b.WriteString("\n| collection | index | unique | serves |\n|---|---|---|---|\n")
	for _, c := range schema() {
		for _, i := range c.indexes {
			unique := ""
			if i.unique {
				unique = "yes"
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", c.name, keysText(i.keys), unique, i.serves)
		}
	}
	return b.String()
}

func keysText(keys bson.D) string {
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%s: %v", k.Key, k.Value))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
