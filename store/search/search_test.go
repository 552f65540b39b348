package search

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// marked shows a text with its marks as [brackets].
func marked(text string, marks []store.Mark) string {
	for _, m := range slices.Backward(marks) {
		text = text[:m.Start] + "[" + text[m.Start:m.End] + "]" + text[m.End:]
	}
	return text
}

// check reports whether a query finds a text, and requires that the index would not have hidden it.
func check(t *testing.T, query string, texts ...string) ([][]store.Mark, bool) {
	t.Helper()
	q, err := Parse(query)
	require.NoError(t, err)
	marks, ok := q.Match(texts...)
	have := Terms(texts...)
	if ok {
		require.NotEmpty(t, q.Terms())
		for _, term := range q.Terms() {
			require.Contains(t, have, term, "%q finds %q", query, texts)
		}
	}
	return marks, ok
}

func TestWhatAQueryFinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, text, want string }{
		{"order", "Where is my Order?", "Where is my [Order]?"},
		{"ord", "order, ordering, border", "[order], [ordering], border"},
		{"my where", "Where is my order", "[Where] is [my] order"},
		{"muller", "Herr Müller, Straße 5", "Herr [Müller], Straße 5"},
		{"MÜLLER", "herr muller", "herr [muller]"},
		{"strasse", "Große Straße", "Große [Straße]"},
		{"cafe", "Cafe\u0301 noir", "[Cafe\u0301] noir"},
		{"łódź", "Lodz", "[Lodz]"},
		{"istanbul", "İSTANBUL", "[İSTANBUL]"},
		{"ελλας", "ΕΛΛΆΣ", "[ΕΛΛΆΣ]"},
		{"ёлка", "елка", "[елка]"},
		{"зак", "Мой заказ", "Мой [заказ]"},
		{"שלום", "שָׁלוֹם", "[שָׁלוֹם]"},
		{"مرحبا", "مَرْحَبًا بك", "[مَرْحَبًا] بك"},
		{"احمد", "أحمد", "[أحمد]"},
		{"हिन्दी", "मैं हिन्दी बोलता हूँ", "मैं [हिन्दी] बोलता हूँ"},
		{"京都", "東京都に住む", "東[京都]に住む"},
		{"京", "東京都", "東[京]都"},
		{"ガ", "ｶﾞﾗｽ", "[ｶﾞ]ﾗｽ"},
		{"订单", "我的订单在哪里", "我的[订单]在哪里"},
		{"สั่งซื้อ", "ฉันสั่งซื้อเมื่อวาน", "ฉัน[สั่งซื้อ]เมื่อวาน"},
		{"주문", "제주문의", "제[주문]의"},
		{"👍", "ok 👍🏽 thanks", "ok [👍]🏽 thanks"},
		{"❤", "I ❤️ it", "I [❤]️ it"},
		{"4155550100", "call +1 (415) 555-0100 now", "call +1 ([415) 555-0100] now"},
		{"+1 (415) 555-0100", "14155550100", "[14155550100]"},
		{"555 0100", "+14155550100", "+1415[5550100]"},
		{"0100", "+1-415-555-0100", "+1-415-555-[0100]"},
		{"0171 1234567", "+491711234567", "+49[1711234567]"},
		{"0049 171 1234567", "+49 171 1234567", "+[49 171 1234567]"},
		{"+44 (0)20 7946 0958", "442079460958", "[442079460958]"},
		{"٤١٥٥٥٥", "415555", "[415555]"},
		{"4711 123456", "order 4711, customer 123456", "order [4711], customer [123456]"},
		{"4711", "ref4711abc", "ref[4711]abc"},
		{"5", "5 apples 15", "[5] apples 15"},
		{"anna@example.com", "Anna@Example.com", "[Anna]@[Example].[com]"},
		{`"my order"`, "my order, order my", "[my order], order my"},
		{`"の東京`, "彼の東京都", "彼[の東京]都"},
		{`"order 4711" late`, "Order 4711 is late", "[Order 4711] is [late]"},
		{`" OR *`, "yours or mine", "yours [or] mine"},
		{"hello NOT there", "hello, not there", "[hello], [not] [there]"},
		{strings.Repeat("x", 40), "a " + strings.Repeat("x", 50), "a [" + strings.Repeat("x", 50) + "]"},
		{"ab\xffcd", "ab cd", "[ab] [cd]"},
	} {
		marks, ok := check(t, c.query, c.text)
		require.True(t, ok, "%q has to find %q", c.query, c.text)
		require.Equal(t, c.want, marked(c.text, marks[0]), c.query)
	}
}

func TestWhatAQueryDoesNotFind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, text string }{
		{"rder", "order"},
		{"order mine", "order yours"},
		{`"my order"`, "my big order"},
		{`"my ord"`, "my order"},
		{"东京都", "东京和京都"},
		{"4155550100", "4155550199"},
		{"102", "10 20"},
		{"5550100", "555, 0100"},
		{strings.Repeat("x", 13) + "y", strings.Repeat("x", 14)},
		{"", "anything"},
		{`"" ''`, "anything"},
		{"*", "anything"},
		{"-+()", "anything"},
		{"\x00", "anything"},
	} {
		_, ok := check(t, c.query, c.text)
		require.False(t, ok, "%q must not find %q", c.query, c.text)
	}
}

func TestEveryConditionMayBeMetElsewhere(t *testing.T) {
	t.Parallel()
	marks, ok := check(t, "anna 0100", "Anna", "+14155550100")
	require.True(t, ok)
	require.Equal(t, [][]store.Mark{{{Start: 0, End: 4}}, {{Start: 8, End: 12}}}, marks)
}

func TestQueriesAreBounded(t *testing.T) {
	t.Parallel()
	_, err := Parse(strings.Repeat("x", store.MaxQuery+1))
	require.ErrorIs(t, err, omni.ErrInvalid)
	q, err := Parse(strings.Repeat("ab1cd ", 160))
	require.NoError(t, err)
	require.LessOrEqual(t, len(q.Terms()), maxTerms)
	require.Empty(t, Terms(strings.Repeat(" ", maxUnits), "")) // nothing beyond is looked at, and nothing breaks
	require.NotContains(t, Terms(strings.Repeat(".", maxUnits)+" late"), "wlate")
}

func TestSnippets(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Wörter und mehr. ", 30)
	for _, c := range []struct{ name, query, text, want string }{
		{"short", "b", "a b\nc", "a [b] c"},
		{"turned around", "order", "\u202emy \u2067order", "my [order]"},
		{"at the beginning", "order", "Order " + long, "[Order] " + string([]rune(long)[:154]) + "…"},
		{"inside", "order", long + "the order\tis late", "…Wörter und mehr. Wörter und mehr. the [order] is late"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			marks, ok := check(t, c.query, c.text)
			require.True(t, ok)
			s := Snippet(c.text, marks[0])
			require.Equal(t, c.want, marked(s.Text, s.Marks))
		})
	}
}

func FuzzSearch(f *testing.F) {
	for _, s := range []string{"Order 4711", "+1 (415) 555-0100", "東京都", "👍🏽🇩🇪", `"a b" c`, "e\u0301\xff", "สั่งซื้อ", "٤١٥", "\u1100\u1161", "ﷺ㍿"} {
		f.Add(s, s)
		f.Add(s[:len(s)/2], s)
	}
	f.Fuzz(func(t *testing.T, query, text string) {
		q, err := Parse(query)
		if err != nil {
			require.ErrorIs(t, err, omni.ErrInvalid)
			return
		}
		for _, term := range append(Terms(text), q.Terms()...) {
			require.LessOrEqual(t, len(term), MaxTerm)
			require.NotContains(t, term, `"`)
			require.NotContains(t, term, " ")
			require.True(t, utf8.ValidString(term))
		}
		marks, ok := check(t, query, text)
		if !ok {
			return
		}
		last := 0
		for _, m := range marks[0] {
			require.GreaterOrEqual(t, m.Start, last)
			require.Greater(t, m.End, m.Start)
			last = m.End
		}
		require.LessOrEqual(t, last, len(text))
		s := Snippet(text, marks[0])
		last = 0
		for _, m := range s.Marks {
			require.GreaterOrEqual(t, m.Start, last)
			last = m.End
		}
		require.LessOrEqual(t, last, len(s.Text))
	})
}

func BenchmarkTerms(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"latin", "Hello, I would like to ask about my order 4711 from last week, please call me at +1 415 555 0100"},
		{"accents", "Guten Tag, könnten Sie mir bitte sagen, wann die Lieferung für Müller ankommt? Schöne Grüße"},
		{"chinese", "您好，我想问一下我上周的订单在哪里，请给我打电话，谢谢您的帮助"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Terms(c.text)
			}
		})
	}
}
