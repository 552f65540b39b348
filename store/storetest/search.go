package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// soon is how long a test waits for what was written to be found. The contract speaks of a second; a machine that does
// other things as well may need more.
const soon = 20 * time.Second

// eventually waits until a search gives just these.
func eventually(t *testing.T, want []string, ids func() []string) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	end := time.After(soon)
	for {
		got := ids()
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-again.C:
		case <-end:
			require.Equal(t, want, got)
		}
	}
}

func (w *world) search(query string) store.MessageSearch {
	return store.MessageSearch{Query: query, GroupIDs: []string{w.group.ID}}
}

// find reads all pages of a search for messages.
func (w *world) find(t *testing.T, s store.Store, q store.MessageSearch) []string {
	t.Helper()
	return idsOf(pages(t, 50, func(p store.Page) (store.List[store.MessageHit], error) {
		return s.SearchMessages(t.Context(), w.tenant, q, p)
	}), hitID)
}

func hitID(h store.MessageHit) string { return h.Message.ID }

func (w *world) findContacts(t *testing.T, s store.Store, query string) []string {
	t.Helper()
	return idsOf(pages(t, 50, func(p store.Page) (store.List[store.ContactHit], error) {
		return s.SearchContacts(t.Context(), w.tenant, store.ContactSearch{Query: query}, p)
	}), func(h store.ContactHit) string { return h.Contact.ID })
}

// marked shows a snippet with [brackets] around what matches.
func marked(s store.Snippet) string {
	text := s.Text
	for _, m := range slices.Backward(s.Marks) {
		text = text[:m.Start] + "[" + text[m.Start:m.End] + "]" + text[m.End:]
	}
	return text
}

func messagesAreFound(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	var order []string // names, oldest first
	ids := map[string]string{}
	for _, m := range []struct{ name, text string }{
		{"english", "Where is my Order 4711? I ordered it last week."},
		{"german", "Grüße aus der Königsallee, Herr Müller"},
		{"polish", "Zażółć gęślą jaźń"},
		{"decomposed", "Une tasse de cafe\u0301, s'il vous plai\u0302t"},
		{"russian", "Когда придёт мой заказ?"},
		{"greek", "Πού είναι η παραγγελία μου;"},
		{"arabic", "أَيْنَ طَلَبِي يا أحمد"},
		{"hebrew", "איפה ההזמנה שלי"},
		{"hindi", "मेरा ऑर्डर कहाँ है"},
		{"chinese", "请问我的订单什么时候到北京"},
		{"japanese", "注文した商品はいつ東京都に届きますか"},
		{"korean", "주문한 상품은 언제 도착하나요"},
		{"thai", "สินค้าที่สั่งซื้อจะมาถึงเมื่อไหร่"},
		{"emoji", "Perfect 👍🏽, thank you 🇩🇪"},
		{"number", "Please call me: +1 (415) 555-0100"},
		{"plain number", "My other line is 00442079460958, ask for Müllerová"},
	} {
		a := w.append(t, s, w.inbound(w.talk, m.text))
		ids[m.name] = a.Message.ID
		order = append(order, m.name)
	}
	for _, c := range []struct {
		query string
		want  string // names, newest first
	}{
		{"order", "english"},
		{"ORD", "english"},
		{"week where", "english"},
		{"week nowhere", ""},
		{"rder", ""},
		{"muller", "plain number, german"},
		{"Müller", "plain number, german"},
		{"gruße koni", "german"},
		{"zazolc GESLA", "polish"},
		{"café plaît", "decomposed"},
		{"придет", "russian"},
		{"зак", "russian"},
		{"παραγγελια", "greek"},
		{"اين طلبي", "arabic"},
		{"احمد", "arabic"},
		{"הזמנה", ""}, // in Hebrew a prefix is part of the word
		{"ההזמנה", "hebrew"},
		{"ऑर्डर", "hindi"},
		{"订单", "chinese"},
		{"北京 订单", "chinese"},
		{"单订", ""},
		{"東京", "japanese"},
		{"京都", "japanese"},
		{"商品", "japanese"},
		{"상품", "korean"},
		{"สั่งซื้อ", "thai"},
		{"👍", "emoji"},
		{"🇩🇪 thank", "emoji"},
		{"4155550100", "number"},
		{"+1 415 555 0100", "number"},
		{"555-0100", "number"},
		{"0100", "number"},
		{"020 7946 0958", "plain number"},
		{"+44 20 7946 0958", "plain number"},
		{"4711", "english"},
		{"47", "english"},
		{`"my order"`, "english"},
		{`"order my"`, ""},
		{`"my ord"`, ""},
	} {
		want := []string{}
		if c.want != "" {
			for name := range strings.SplitSeq(c.want, ", ") {
				require.Contains(t, order, name)
				want = append(want, ids[name])
			}
		}
		t.Log(c.query)
		eventually(t, want, func() []string { return w.find(t, s, w.search(c.query)) })
	}

	l, err := s.SearchMessages(t.Context(), w.tenant, w.search("order WEEK"), store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 1)
	require.Equal(t, "Where is my [Order] 4711? I [ordered] it last [week].", marked(l.Items[0].Snippet))
	m, err := s.Message(t.Context(), w.tenant, ids["english"])
	require.NoError(t, err)
	require.Equal(t, m, l.Items[0].Message)
	i, err := s.Interaction(t.Context(), w.tenant, w.talk.ID)
	require.NoError(t, err)
	require.Equal(t, i, l.Items[0].Interaction)

	long := w.append(t, s, w.inbound(w.talk, strings.Repeat("много слов и ещё больше ", 100)+"canary"+strings.Repeat(" и ещё", 100)))
	eventually(t, []string{long.Message.ID}, func() []string { return w.find(t, s, w.search("canary")) })
	l, err = s.SearchMessages(t.Context(), w.tenant, w.search("canary"), store.Page{})
	require.NoError(t, err)
	require.Contains(t, marked(l.Items[0].Snippet), "больше [canary] и ещё")
	require.Less(t, len(l.Items[0].Snippet.Text), 1000)
}

func foundOnlyByThoseWhoMaySee(t *testing.T, s store.Store) {
	a, b := newWorld(t, s), newWorld(t, s)
	other := a.newGroup("Sales")
	require.NoError(t, s.CreateGroup(t.Context(), a.tenant, other))
	sold := a.newIdentity("+15552222")
	sold.Name = "Zoe"
	_, sold, _, err := s.ResolveIdentity(t.Context(), a.tenant, sold)
	require.NoError(t, err)
	talk := a.newInteraction(sold)
	talk.GroupID, talk.DigitalChannelID = other.ID, omni.NewID()
	talk, _, err = s.OpenInteraction(t.Context(), a.tenant, talk, 0)
	require.NoError(t, err)

	mine := a.append(t, s, a.inbound(a.talk, "the same word")).Message.ID
	hidden := a.append(t, s, a.inbound(talk, "the same word")).Message.ID
	theirs := b.append(t, s, b.inbound(b.talk, "the same word")).Message.ID
	for _, c := range []struct {
		who    *world
		groups []string
		want   []string
	}{
		{a, []string{a.group.ID, other.ID}, []string{hidden, mine}},
		{a, []string{other.ID}, []string{hidden}},
		{a, []string{a.group.ID}, []string{mine}},
		{a, []string{a.group.ID, a.group.ID, omni.NewID()}, []string{mine}},
		{b, []string{b.group.ID}, []string{theirs}},
		{b, []string{a.group.ID, other.ID}, []string{}},
		{a, []string{b.group.ID}, []string{}},
		{a, nil, []string{}},
		{a, []string{""}, []string{}},
	} {
		eventually(t, c.want, func() []string {
			return c.who.find(t, s, store.MessageSearch{Query: "same WORD", GroupIDs: c.groups})
		})
	}
	eventually(t, []string{sold.ContactID}, func() []string { return a.findContacts(t, s, "zoe") })
	require.Empty(t, b.findContacts(t, s, "zoe"))
	require.Empty(t, b.find(t, s, store.MessageSearch{Query: "same", GroupIDs: []string{b.group.ID}, InteractionID: a.talk.ID}))
	require.Empty(t, b.find(t, s, store.MessageSearch{Query: "same", GroupIDs: []string{b.group.ID}, ContactID: a.contact.ID}))

	// A cursor of one organisation's search is nothing to another's.
	l, err := s.SearchMessages(t.Context(), a.tenant, store.MessageSearch{Query: "same", GroupIDs: []string{a.group.ID, other.ID}}, store.Page{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, l.Next)
	_, err = s.SearchMessages(t.Context(), b.tenant, store.MessageSearch{Query: "same", GroupIDs: []string{b.group.ID}}, store.Page{Cursor: l.Next})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func searchesAreNarrowed(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	second, person, _ := w.newTalk(t, s, "+15553333")
	at := func(m omni.ServiceMessage, ms omni.Millis) omni.ServiceMessage {
		m.CreatedAt = ms
		return m
	}
	in := w.append(t, s, at(w.inbound(w.talk, "word in"), base+1000)).Message.ID
	out := w.append(t, s, at(w.outbound(w.talk, "word out"), base+3000)).Message.ID
	late := w.append(t, s, at(w.inbound(second, "word, delayed"), base+2000)).Message.ID // stored later than it was created
	for name, c := range map[string]struct {
		narrow func(q *store.MessageSearch)
		want   []string
	}{
		"not at all":          {func(*store.MessageSearch) {}, []string{late, out, in}},
		"contact":             {func(q *store.MessageSearch) { q.ContactID = person.ID }, []string{late}},
		"another contact":     {func(q *store.MessageSearch) { q.ContactID = omni.NewID() }, []string{}},
		"interaction":         {func(q *store.MessageSearch) { q.InteractionID = w.talk.ID }, []string{out, in}},
		"another interaction": {func(q *store.MessageSearch) { q.InteractionID = omni.NewID() }, []string{}},
		"channel":             {func(q *store.MessageSearch) { q.ChannelID = w.channel.ID }, []string{late, out, in}},
		"another channel":     {func(q *store.MessageSearch) { q.ChannelID = omni.NewID() }, []string{}},
		"inbound":             {func(q *store.MessageSearch) { q.Direction = omni.Inbound }, []string{late, in}},
		"outbound":            {func(q *store.MessageSearch) { q.Direction = omni.Outbound }, []string{out}},
		"from":                {func(q *store.MessageSearch) { q.From = base + 2000 }, []string{late, out}},
		"until":               {func(q *store.MessageSearch) { q.Until = base + 2000 }, []string{in}},
		"between":             {func(q *store.MessageSearch) { q.From, q.Until = base+1001, base+3000 }, []string{late}},
		"after all":           {func(q *store.MessageSearch) { q.From = base + 100_000 }, []string{}},
		"before all":          {func(q *store.MessageSearch) { q.Until = base }, []string{}},
		"all at once": {func(q *store.MessageSearch) {
			q.ContactID, q.InteractionID, q.ChannelID, q.Direction = w.contact.ID, w.talk.ID, w.channel.ID, omni.Inbound
			q.From, q.Until = base, base+5000
		}, []string{in}},
	} {
		q := w.search("word")
		c.narrow(&q)
		t.Log(name)
		eventually(t, c.want, func() []string { return w.find(t, s, q) })
	}
}

func searchesArePaged(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	want := []string{}
	for n := range 30 {
		m := w.append(t, s, w.inbound(w.talk, fmt.Sprintf("number %d of many", n)))
		want = append(want, m.Message.ID)
	}
	slices.Reverse(want)
	eventually(t, want, func() []string { return w.find(t, s, w.search("many")) })
	for _, size := range []int{1, 7, 30, 31} {
		got := pages(t, size, func(p store.Page) (store.List[store.MessageHit], error) {
			return s.SearchMessages(t.Context(), w.tenant, w.search("many"), p)
		})
		require.Equal(t, want, idsOf(got, hitID), "pages of %d", size)
	}
	l, err := s.SearchMessages(t.Context(), w.tenant, w.search("many"), store.Page{Limit: 30})
	require.NoError(t, err)
	require.Len(t, l.Items, 30)
	l, err = s.SearchMessages(t.Context(), w.tenant, w.search("many"), store.Page{Limit: 3})
	require.NoError(t, err)
	require.NotEmpty(t, l.Next)
	for name, q := range map[string]store.MessageSearch{
		"another query": w.search("number"),
		"other groups":  {Query: "many", GroupIDs: []string{w.group.ID, omni.NewID()}},
		"another time":  {Query: "many", GroupIDs: []string{w.group.ID}, From: 1},
	} {
		_, err = s.SearchMessages(t.Context(), w.tenant, q, store.Page{Cursor: l.Next})
		require.ErrorIs(t, err, omni.ErrInvalid, name)
	}
	_, err = s.SearchContacts(t.Context(), w.tenant, store.ContactSearch{Query: "many"}, store.Page{Cursor: l.Next})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func searchesPageUnderWrites(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	want := []string{}
	for range 40 {
		want = append(want, w.append(t, s, w.inbound(w.talk, "before")).Message.ID)
	}
	slices.Reverse(want)
	eventually(t, want, func() []string { return w.find(t, s, w.search("before")) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		for n := 0; n < few(s, 100_000, 25); n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.AppendMessage(t.Context(), w.tenant, w.inbound(w.talk, "not before")); err != nil {
				failed = err
				return
			}
		}
	})
	for range few(s, 5, 1) {
		// Those that come meanwhile are newer than where a page begins: only the first page may have some.
		got := pages(t, 3, func(p store.Page) (store.List[store.MessageHit], error) {
			return s.SearchMessages(t.Context(), w.tenant, w.search("before"), p)
		})
		ids := idsOf(got, hitID)
		require.Greater(t, len(ids), 39)
		require.Equal(t, want, ids[len(ids)-40:])
	}
	close(stop)
	wg.Wait()
	require.NoError(t, failed)
}

func hostileQueriesAreText(t *testing.T, s store.Store) {
	w, other := newWorld(t, s), newWorld(t, s)
	m := w.append(t, s, w.inbound(w.talk, `not near or and match "quoted" a*b terms: drop table messages; 100% {$ne: null} (.*) \d`)).Message.ID
	other.append(t, s, other.inbound(other.talk, "not near or and match secret"))
	found := []string{m}
	none := []string{}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"near", found},
		{"NOT NEAR OR AND MATCH", found},
		{"near OR secret", none},
		{"near NOT secret", none},
		{"near AND not", found},
		{"NEAR(match terms, 5)", none}, // 5 is text, and not there
		{"terms:near", found},
		{"terms : drop", found},
		{"{terms}: drop", found},
		{"^near", found},
		{"nea*", found},
		{"*", none},
		{"a*b", found},
		{`" OR *`, found},
		{`"`, none},
		{`""`, none},
		{`"""""`, none},
		{`"near"" OR ""secret"`, none},
		{`\" near`, found},
		{"'; DROP TABLE messages; --", found},
		{"near'", found},
		{"near) OR (secret", none},
		{"((((near", found},
		{"+near -not", found},
		{"100%", found},
		{"%", none},
		{"_", none},
		{"{$ne: null}", found},
		{`{"$gt": ""}`, none},
		{".*", none},
		{"(.*) d", found},
		{"[a-z]+", none},
		{"near\x00secret", none},
		{"near\xff\xfe", found},
		{"\u202enear", found},
		{"\u0301\u0301\u0301", none},
		{strings.Repeat("near ", 200), found},
		{strings.Repeat("\"", 999), none},
		{strings.Repeat("(", 999), none},
		{strings.Repeat("near*", 190), found},
	} {
		t.Logf("%q", c.query)
		eventually(t, c.want, func() []string { return w.find(t, s, w.search(c.query)) })
		require.Empty(t, w.findContacts(t, s, c.query[:min(len(c.query), 900)]+" nobody"))
	}
	for _, query := range []string{strings.Repeat("x", store.MaxQuery+1), strings.Repeat("near ", 1000)} {
		_, err := s.SearchMessages(t.Context(), w.tenant, w.search(query), store.Page{})
		require.ErrorIs(t, err, omni.ErrInvalid)
		_, err = s.SearchContacts(t.Context(), w.tenant, store.ContactSearch{Query: query}, store.Page{})
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
	_, err := s.SearchMessages(t.Context(), w.tenant, w.search("near"), store.Page{Cursor: "x"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func whatChangesIsFound(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	// A file gets its name when it is fetched.
	m := w.inbound(w.talk, "")
	file := omni.MediaReference{Type: omni.MediaDocument, State: omni.MediaPending, External: omni.ExternalRef{URL: "https://example.com/1"}}
	m.Payload = omni.NewPayload("see the file", []omni.MediaReference{file})
	w.append(t, s, m)
	eventually(t, []string{m.ID}, func() []string { return w.find(t, s, w.search("see file")) })
	require.Empty(t, w.find(t, s, w.search("contract")))
	file.State, file.ID, file.FileName = omni.MediaReady, omni.NewID(), "Contract_2026.pdf"
	_, err := s.SetMedia(t.Context(), w.tenant, m.ID, 0, file, 0)
	require.NoError(t, err)
	eventually(t, []string{m.ID}, func() []string { return w.find(t, s, w.search("contract")) })
	l, err := s.SearchMessages(t.Context(), w.tenant, w.search("contract"), store.Page{})
	require.NoError(t, err)
	require.Equal(t, "[Contract]_2026.pdf", marked(l.Items[0].Snippet))

	// Nothing but its state changes what a message is found by.
	out := w.append(t, s, w.outbound(w.talk, "an answer")).Message
	_, err = s.MarkSent(t.Context(), w.tenant, out.ID, "c-1", 1, status(w.channel.ID, "c-1", omni.StatusSent, base+40))
	require.NoError(t, err)
	eventually(t, []string{out.ID}, func() []string { return w.find(t, s, w.search("answer")) })

	c := w.contact
	for n, name := range []string{"Anna Schmidt", "Berta Schulz", "Čeněk"} {
		c.Name = name
		c, err = s.UpdateContact(t.Context(), w.tenant, c)
		require.NoError(t, err)
		eventually(t, []string{c.ID}, func() []string { return w.findContacts(t, s, name) })
		if n > 0 {
			require.Empty(t, w.findContacts(t, s, "Anna"))
		}
	}
}

func contactsAreFound(t *testing.T, s store.Store) {
	w := newWorld(t, s)
	add := func(family omni.ChannelType, address, name string) omni.Contact {
		i := w.newIdentity(address)
		i.ChannelType, i.Name = family, name
		c, _, _, err := s.ResolveIdentity(t.Context(), w.tenant, i)
		require.NoError(t, err)
		return c
	}
	anna := add(omni.ChannelSMS, "+14155550100", "Anna Müller")
	aiko := add(omni.ChannelWhatsApp, "+81312345678", "田中 愛子")
	visitor := add(omni.ChannelLiveChat, "visitor-7f3a", "")
	sven := add(omni.ChannelSMS, "+491711234567", "Sven")
	sven.Labels = []string{"VIP", "Lieferant"}
	sven.ExternalIDs = []omni.ExternalID{{System: "crm", ID: "C-99871"}}
	sven, err := s.UpdateContact(t.Context(), w.tenant, sven)
	require.NoError(t, err)
	add(omni.ChannelSMS, "+491711234567", "svenni") // what they call themselves now; the contact keeps its name

	for _, c := range []struct {
		query string
		want  []string
	}{
		{"anna", []string{anna.ID}},
		{"mull an", []string{anna.ID}},
		{"愛子", []string{aiko.ID}},
		{"+1 (415) 555-0100", []string{anna.ID}},
		{"4155550100", []string{anna.ID}},
		{"415-555", []string{anna.ID}},
		{"0100", []string{anna.ID}},
		{"0171 / 1234567", []string{sven.ID}},
		{"0049 171 1234567", []string{sven.ID}},
		{"12345", []string{sven.ID, aiko.ID}},
		{"anna 0100", []string{anna.ID}},
		{"anna 4567", []string{}},
		{"svenni", []string{sven.ID}},
		{"vip", []string{sven.ID}},
		{"99871", []string{sven.ID}},
		{"c-99871", []string{sven.ID}},
		{"visitor-7f3a", []string{visitor.ID}},
		{"*", []string{}},
	} {
		t.Log(c.query)
		eventually(t, c.want, func() []string { return w.findContacts(t, s, c.query) })
	}
	l, err := s.SearchContacts(t.Context(), w.tenant, store.ContactSearch{Query: "sven 0171 1234567"}, store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 1)
	hit := l.Items[0]
	require.Equal(t, sven, hit.Contact)
	identities, err := s.Identities(t.Context(), w.tenant, sven.ID)
	require.NoError(t, err)
	require.Equal(t, identities, hit.Identities)
	require.Equal(t, "[Sven]", marked(hit.Name))
	also := idsOf(hit.Also, marked)
	require.ElementsMatch(t, []string{"+49[1711234567]", "[svenni]"}, also)

	all := w.findContacts(t, s, "55")
	require.Subset(t, []string{anna.ID, w.contact.ID}, all)
	got := pages(t, 1, func(p store.Page) (store.List[store.ContactHit], error) {
		return s.SearchContacts(t.Context(), w.tenant, store.ContactSearch{Query: "555"}, p)
	})
	require.Equal(t, []string{anna.ID, w.contact.ID}, idsOf(got, func(h store.ContactHit) string { return h.Contact.ID }))
}
