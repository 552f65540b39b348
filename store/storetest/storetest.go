// Package storetest holds the suite that every implementation of store.Store passes: a test for each promise of the
// contract, with real concurrency where the contract speaks of callers at the same instant.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// Run runs the suite. open gives an empty store, which it closes by t.Cleanup. Whatever a test has made moves to another
// store and is the same there.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	RunExcept(t, open, nil)
}

// RunExcept is Run without the tests that leftOut names, each with the reason.
func RunExcept(t *testing.T, open func(t *testing.T) store.Store, leftOut map[string]string) {
	t.Helper()
	var m movedKinds
	for name, test := range tests {
		if _, ok := leftOut[name]; ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			test(t, s)
			m.moves(t, s, open)
		})
	}
	t.Cleanup(func() { m.all(t) })
}

// Small is what a store says of itself that looks through all its data for each call: tests give it less.
type Small interface{ Small() bool }

// few is many, or for a small store less.
func few(s store.Store, many, less int) int {
	if small, ok := s.(Small); ok && small.Small() {
		return less
	}
	return many
}

// Names are the names of all tests of the suite.
func Names() []string { return slices.Sorted(maps.Keys(tests)) }

// tests are named for what they show.
var tests = map[string]func(t *testing.T, s store.Store){
	"EveryFieldComesBack":           everyFieldComesBack,
	"ValuesAreCopies":               valuesAreCopies,
	"TenantsAreApart":               tenantsAreApart,
	"CreatingTheSameAgainIsNoError": creatingTheSameAgain,
	"UniqueOverAll":                 uniqueOverAll,
	"UpdatesAreConditional":         updatesAreConditional,
	"OneOfManyUpdatesWins":          oneOfManyUpdatesWins,
	"ListsAreOrderedAndPaged":       listsAreOrderedAndPaged,
	"CursorsBelongToTheirList":      cursorsBelongToTheirList,
	"PagingUnderWrites":             pagingUnderWrites,
	"RefreshTokensRotate":           refreshTokensRotate,
	"SessionsEnd":                   sessionsEnd,
	"OneTimeTokensWorkOnce":         oneTimeTokensWorkOnce,
	"APIKeysAreDeleted":             apiKeysAreDeleted,
	"ChannelsAreFound":              channelsAreFound,
	"OneIdentityPerAddress":         oneIdentityPerAddress,
	"NamesAreLearnt":                namesAreLearnt,
	"ConsentGoesByTime":             consentGoesByTime,
	"OneOpenInteraction":            oneOpenInteraction,
	"ResolvedInteractionsReopen":    resolvedInteractionsReopen,
	"OneClaimWins":                  oneClaimWins,
	"ChangesOfAnInteraction":        changesOfAnInteraction,
	"SnoozesComeDue":                snoozesComeDue,
	"ReadMarksMoveForward":          readMarksMoveForward,
	"InteractionListsMergeGroups":   interactionListsMergeGroups,
	"InteractionsAreCounted":        interactionsAreCounted,
	"SequencesHaveNoGaps":           sequencesHaveNoGaps,
	"OneRowPerCarrierID":            OneRowPerCarrierID,
	"OneRowPerClientID":             oneRowPerClientID,
	"AppendKeepsWhatListsShow":      appendKeepsWhatListsShow,
	"MessageWindows":                messageWindows,
	"StatusesMoveForward":           statusesMoveForward,
	"StatusesAtTheSameInstant":      statusesAtTheSameInstant,
	"EarlyStatusesWait":             earlyStatusesWait,
	"StatusesOfOthersChangeNothing": statusesOfOthers,
	"InboxInOrder":                  inboxInOrder,
	"InboxSetAside":                 inboxSetAside,
	"FragmentsAreJoinedOnce":        fragmentsAreJoinedOnce,
	"OutboxHeadOfLine":              outboxHeadOfLine,
	"OutboxOutcomes":                outboxOutcomes,
	"OutboxPutOff":                  outboxPutOff,
	"MessageEdits":                  messageEdits,
	"OutboxHoldsWhatGoesOut":        outboxHoldsWhatGoesOut,
	"FailedMessagesAreRequeued":     failedMessagesAreRequeued,
	"OneSendBegins":                 oneSendBegins,
	"MediaWaitsToBeFetched":         mediaWaits,
	"OneFetchOfAFileCounts":         oneFetchCounts,
	"LocksFence":                    locksFence,
	"OneLockOwner":                  oneLockOwner,
	"IdempotencyKeys":               idempotencyKeys,
	"SweepRemovesWhatEnded":         sweepRemovesWhatEnded,
	"PlainRecordsComeBack":          eachKind(plainKind.comesBack),
	"PlainRecordsAreKept":           eachKind(plainKind.isKept),
	"PlainRecordsAreUpdated":        eachKind(plainKind.isUpdated),
	"PlainRecordsAreUnique":         eachKind(plainKind.isUnique),
	"PlainRecordsAreListed":         eachKind(plainKind.isListed),
	"PlainRecordsUnderWrites":       eachKind(plainKind.holdsUnderWrites),
	"PlainRecordsAreApart":          plainRecordsAreApart,
	"ConversionsEnd":                conversionsEnd,
	"EveryConsentIsKept":            everyConsentIsKept,
	"AliasesStandForTheirIdentity":  aliasesStandForTheirIdentity,
	"IdentitiesAreFoundByAliases":   identitiesAreFoundByAliases,
	"ExternalIDsAreFound":           externalIDsAreFound,
	"ReactionsAreReplaced":          reactionsAreReplaced,
	"DeliveriesAreQueued":           deliveriesAreQueued,
	"DeliveriesAreListed":           deliveriesAreListed,
	"EverythingMoves":               everythingMoves,
	"LoadedQueuesKeepTheirOrder":    loadedQueues,
	"LoadRefusesWhatItCannotRead":   loadRefuses,
	"DumpUnderWrites":               dumpUnderWrites,
	"MarkersAreKept":                markersAreKept,
	"StoresAreInspected":            storesAreInspected,
	"OldDocumentsAreRead":           oldDocumentsAreRead,
	"MessagesAreFound":              messagesAreFound,
	"FoundOnlyByThoseWhoMaySee":     foundOnlyByThoseWhoMaySee,
	"SearchesAreNarrowed":           searchesAreNarrowed,
	"SearchesArePaged":              searchesArePaged,
	"SearchesPageUnderWrites":       searchesPageUnderWrites,
	"HostileQueriesAreText":         hostileQueriesAreText,
	"WhatChangesIsFoundAsItIs":      whatChangesIsFound,
	"ContactsAreFound":              contactsAreFound,
	"ChangesAreTold":                changesAreTold,
	"ChangesArePaged":               changesArePaged,
	"ChangesThatCannotBeTold":       changesThatCannotBeTold,
	"ChangesUnderWrites":            changesUnderWrites,
	"CancelledContexts":             cancelledContexts,
	"ClosedStoresAreUnavailable":    closedStoresAreUnavailable,
}

// base is when the tests' records begin.
const base omni.Millis = 1_790_000_000_000

// world is an organisation with one of everything.
type world struct {
	org      omni.Organisation
	tenant   omni.Tenant // with the user
	user     omni.User
	group    omni.DigitalChannelGroup
	folder   omni.Folder
	account  omni.CarrierAccount
	channel  omni.DigitalChannel
	contact  omni.Contact
	identity omni.ContactIdentity
	talk     omni.Interaction // open, without messages
}

// newWorld makes and stores one.
func newWorld(t *testing.T, s store.Store) *world {
	t.Helper()
	ctx := t.Context()
	org := omni.NewID()
	user := omni.NewID()
	w := &world{tenant: omni.Tenant{OrganisationID: org, UserID: user}}
	w.org = omni.Organisation{ID: org, Name: "Organisation", Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema}
	require.NoError(t, s.CreateOrganisation(ctx, w.org))
	w.user = newUser(org, "Ana")
	w.user.ID = user
	require.NoError(t, s.CreateUser(ctx, w.tenant, w.user))
	w.group = w.newGroup("Support")
	require.NoError(t, s.CreateGroup(ctx, w.tenant, w.group))
	w.folder = omni.Folder{
		ID: omni.NewID(), Tenant: omni.Org(org), GroupID: w.group.ID, Name: "Inbox", Type: omni.FolderDefault,
		Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.CreateFolder(ctx, w.tenant, w.folder))
	w.account = omni.CarrierAccount{
		ID: omni.NewID(), Tenant: omni.Org(org), PublicID: omni.NewToken(16), Carrier: omni.CarrierTest, Name: "Account",
		Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.CreateCarrierAccount(ctx, w.tenant, w.account))
	w.channel = w.newChannel("+15550000")
	require.NoError(t, s.CreateChannel(ctx, w.tenant, w.channel))
	w.talk, w.contact, w.identity = w.newTalk(t, s, "+15551111")
	return w
}

func newUser(org, name string) omni.User {
	id := omni.NewID()
	return omni.User{
		ID: id, OrganisationID: org, Email: id + "@example.com", Name: name, Role: omni.RoleAgent, PasswordHash: "$argon2id$x",
		Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
	}
}

func (w *world) newGroup(name string) omni.DigitalChannelGroup {
	return omni.DigitalChannelGroup{
		ID: omni.NewID(), Tenant: omni.Org(w.org.ID), Name: name, Type: omni.GroupShared, MemberIDs: []string{w.tenant.UserID},
		Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
	}
}

func (w *world) newChannel(address string) omni.DigitalChannel {
	return omni.DigitalChannel{
		ID: omni.NewID(), Tenant: omni.Org(w.org.ID), GroupID: w.group.ID, Name: "Line", ChannelType: omni.ChannelSMS,
		Carrier: omni.CarrierTest, CarrierAccountID: w.account.ID, Address: address, Version: 1, CreatedAt: base,
		SchemaVersion: omni.CurrentSchema,
	}
}

func (w *world) newIdentity(address string) omni.ContactIdentity {
	return omni.ContactIdentity{
		ID: omni.NewID(), Tenant: omni.Org(w.org.ID), ContactID: omni.NewID(), ChannelType: omni.ChannelSMS, Address: address,
		Verified: true, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
	}
}

func (w *world) newInteraction(i omni.ContactIdentity) omni.Interaction {
	return omni.Interaction{
		ID: omni.NewID(), Tenant: omni.Org(w.org.ID), ContactID: i.ContactID, IdentityID: i.ID, DigitalChannelID: w.channel.ID,
		ChannelType: omni.ChannelSMS, GroupID: w.group.ID, FolderID: w.folder.ID,
		Owner: omni.InteractionOwner{Type: omni.EntityGroup, ID: w.group.ID}, State: omni.InteractionOpen,
		ContactAddress: i.Address, LastMessageAt: base, Version: 1, CreatedAt: base, SchemaVersion: omni.CurrentSchema,
	}
}

// newTalk stores a contact with an address and an open interaction.
func (w *world) newTalk(t *testing.T, s store.Store, address string) (omni.Interaction, omni.Contact, omni.ContactIdentity) {
	t.Helper()
	contact, identity, _, err := s.ResolveIdentity(t.Context(), w.tenant, w.newIdentity(address))
	require.NoError(t, err)
	i, _, err := s.OpenInteraction(t.Context(), w.tenant, w.newInteraction(identity), 0)
	require.NoError(t, err)
	return i, contact, identity
}

// inbound is a message from the contact of i.
func (w *world) inbound(i omni.Interaction, text string) omni.ServiceMessage {
	id := omni.NewID()
	return omni.ServiceMessage{
		ID: id, Tenant: omni.Org(w.org.ID), InteractionID: i.ID, Direction: omni.Inbound, ContactID: i.ContactID,
		Channel: omni.ReceivedChannel{
			DigitalChannelID: i.DigitalChannelID, ChannelType: i.ChannelType, Carrier: omni.CarrierTest, Address: w.channel.Address,
			SenderType: omni.SenderContact,
		},
		From:    omni.Identity{ChannelType: i.ChannelType, Address: i.ContactAddress},
		To:      omni.Identity{ChannelType: i.ChannelType, Address: w.channel.Address},
		Payload: omni.TextPayload(text), CarrierMessageID: "in-" + id, ReceivedAt: base + 10, CreatedAt: base + 20,
		SchemaVersion: omni.CurrentSchema,
	}
}

// outbound is an agent's message to the contact of i.
func (w *world) outbound(i omni.Interaction, text string) omni.ServiceMessage {
	m := w.inbound(i, text)
	m.Tenant = w.tenant
	m.Direction, m.Channel.SenderType = omni.Outbound, omni.SenderUser
	m.From, m.To = m.To, m.From
	m.CarrierMessageID, m.ClientID = "", omni.NewID()
	m.Status, m.StatusAt = omni.StatusQueued, base+20
	m.Publish = &omni.PublishChannel{
		DigitalChannelID: i.DigitalChannelID, ChannelType: i.ChannelType, Sender: w.channel.Address,
		Target: omni.PublishIdentity{ContactID: i.ContactID, IdentityID: i.IdentityID, Address: i.ContactAddress},
	}
	return m
}

func (w *world) append(t *testing.T, s store.Store, m omni.ServiceMessage) store.Appended {
	t.Helper()
	a, err := s.AppendMessage(t.Context(), w.tenant, m)
	require.NoError(t, err)
	require.True(t, a.Created)
	return a
}

// inboxRecord is a webhook of the account.
func (w *world) inboxRecord(partition int) store.InboxRecord {
	return store.InboxRecord{
		ID: omni.NewID(), Tenant: omni.Org(w.org.ID), AccountID: w.account.ID, Carrier: omni.CarrierTest, Partition: partition,
		Events: []omni.CarrierChannelEvent{{
			Kind: omni.EventMessage, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
			CarrierMessageID: "c", From: "+15551111", To: w.channel.Address, Text: "hello",
		}},
		Raw:        store.RawPayload{Method: "POST", Query: "a=b", Header: map[string]string{"Content-Type": "application/json"}, Body: []byte(`{"x":1}`)},
		ReceivedAt: base,
	}
}

// status is what a carrier says of a message.
func status(channelID, carrierID string, st omni.Status, at omni.Millis) omni.DeliveryStatus {
	return omni.DeliveryStatus{
		DeliveryStatusMessage: omni.DeliveryStatusMessage{CarrierMessageID: carrierID, Status: st, OccurredAt: at},
		DigitalChannelID:      channelID, ReceivedAt: at + 5,
	}
}

// allPartitions is every part of the queues.
func allPartitions() []int {
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	return all
}

// pages reads a whole list in pages of size.
func pages[T any](t *testing.T, size int, list func(p store.Page) (store.List[T], error)) []T {
	t.Helper()
	var all []T
	p := store.Page{Limit: size}
	for range 1000 {
		l, err := list(p)
		require.NoError(t, err)
		require.LessOrEqual(t, len(l.Items), size)
		all = append(all, l.Items...)
		if l.Next == "" {
			return all
		}
		p.Cursor = l.Next
	}
	require.Fail(t, "the list does not end")
	return nil
}

// atOnce runs n calls at the same instant and returns what they gave.
func atOnce[T any](n int, call func(i int) (T, error)) ([]T, []error) {
	values, errs := make([]T, n), make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			values[i], errs[i] = call(i)
		})
	}
	close(begin)
	wg.Wait()
	return values, errs
}

// oneWins requires that of errs exactly one is nil and all others are of kind, and returns its index.
func oneWins(t *testing.T, errs []error, kind error) int {
	t.Helper()
	won := -1
	for i, err := range errs {
		if err == nil {
			require.Equal(t, -1, won, "two calls won")
			won = i
			continue
		}
		require.ErrorIs(t, err, kind)
	}
	require.GreaterOrEqual(t, won, 0, "no call won")
	return won
}

func idsOf[T any](all []T, id func(T) string) []string {
	ids := make([]string, 0, len(all))
	for _, v := range all {
		ids = append(ids, id(v))
	}
	return ids
}

func interactionID(i omni.Interaction) string { return i.ID }
func messageID(m omni.ServiceMessage) string  { return m.ID }
func recordID(r store.InboxRecord) string     { return r.ID }

func itemIDs(items []store.OutboxItem) []string {
	return idsOf(items, func(i store.OutboxItem) string { return i.Message.ID })
}

func cancelledContexts(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Organisation(ctx, w.tenant)
	require.Error(t, err)
	m := w.inbound(w.talk, "never")
	_, err = s.AppendMessage(ctx, w.tenant, m)
	require.Error(t, err)
	_, err = s.Message(t.Context(), w.tenant, m.ID)
	require.ErrorIs(t, err, omni.ErrNotFound)

	// Cancelled at any moment: what is reported as done is there, and the other callers' writes are not hurt.
	_, errs := atOnce(64, func(i int) (omni.ServiceMessage, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := w.inbound(w.talk, "maybe")
		if i%2 == 0 {
			go cancel()
		}
		_, err := s.AppendMessage(ctx, w.tenant, m)
		if err != nil {
			return m, err
		}
		_, err = s.Message(t.Context(), w.tenant, m.ID)
		return m, err
	})
	done := 0
	for i, err := range errs {
		if i%2 == 1 {
			require.NoError(t, err)
		}
		if err == nil {
			done++
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
	}
	after, err := s.Interaction(t.Context(), w.tenant, w.talk.ID)
	require.NoError(t, err)
	require.GreaterOrEqual(t, after.LastSequence, int64(done))
}

func closedStoresAreUnavailable(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	require.NoError(t, s.Ping(t.Context()))
	// Writes under way while the store closes are done or refused, and never hang.
	var wg sync.WaitGroup
	errs := make([]error, 32)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = s.AppendMessage(context.WithoutCancel(t.Context()), w.tenant, w.inbound(w.talk, "late"))
		})
	}
	require.NoError(t, s.Close())
	wg.Wait()
	for _, err := range errs {
		require.True(t, err == nil || errors.Is(err, omni.ErrUnavailable), "%v", err)
	}
	require.ErrorIs(t, s.Ping(t.Context()), omni.ErrUnavailable)
	_, err := s.Organisation(t.Context(), w.tenant)
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.NoError(t, s.Close(), "closing again")
}

// Reopened shows that what was written is there after the store was closed. open opens the same data each time.
func Reopened(t *testing.T, open func() store.Store) {
	t.Helper()
	s := open()
	w := newWorld(t, s)
	var want []string
	for i := range 20 {
		want = append(want, w.append(t, s, w.inbound(w.talk, fmt.Sprint(i))).Message.ID)
	}
	out := w.append(t, s, w.outbound(w.talk, "answer"))
	record := w.inboxRecord(3)
	require.NoError(t, s.PutInbox(t.Context(), record))
	require.NoError(t, s.MarkSending(t.Context(), w.tenant, out.Message.ID, base+30))
	require.NoError(t, s.Close())

	s = open()
	got, err := s.ListMessages(t.Context(), w.tenant, w.talk.ID, store.MessageWindow{Limit: 100})
	require.NoError(t, err)
	require.Equal(t, append(slices.Clone(want), out.Message.ID), idsOf(got, messageID))
	pending, err := s.PendingInbox(t.Context(), allPartitions(), base, 10)
	require.NoError(t, err)
	require.Equal(t, []string{record.ID}, idsOf(pending, recordID))
	items, err := s.PendingOutbox(t.Context(), allPartitions(), base+40, 10)
	require.NoError(t, err)
	require.Equal(t, []string{out.Message.ID}, itemIDs(items))
	require.Equal(t, base+30, items[0].SendingAt, "an interrupted send can be seen")
	require.NoError(t, s.Close())
}
