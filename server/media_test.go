package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/folder"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
)

// kept is a server that keeps files, with an inbound message of organisation A that has some.
type kept struct {
	*system
	deps    server.Deps
	options server.Options
	message omni.ServiceMessage
}

func keeps(t *testing.T, refs []omni.MediaReference, change ...func(*server.Deps, *server.Options)) *kept {
	t.Helper()
	f, err := folder.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	k := &kept{}
	k.system = start(t, append(change, func(d *server.Deps, o *server.Options) {
		d.Media = f
		o.MediaKeys = [][]byte{bytes.Repeat([]byte("m"), 32)}
		k.deps, k.options = *d, *o
	})...)
	m := k.visitorWrites(k.a, "hello")
	for n := range refs {
		refs[n].ID = omni.NewID()
		if refs[n].State == omni.MediaReady {
			refs[n].SHA256, refs[n].Size, err = f.Put(t.Context(), k.a.org.ID, strings.NewReader("0123456789"))
			require.NoError(t, err)
		}
	}
	m.ID, m.ClientID, m.Payload = omni.NewID(), "", omni.NewPayload("files", refs)
	a, err := k.store.AppendMessage(t.Context(), omni.Org(k.a.org.ID), m)
	require.NoError(t, err)
	require.True(t, a.Created)
	k.message = a.Message
	return k
}

// links reads the message by REST and gives the links to its files.
func (k *kept) links() []string {
	k.t.Helper()
	var one server.MessageBody
	r := k.call(http.MethodGet, "/api/v1/messages/"+k.message.ID, k.a.agentToken, nil)
	require.Equal(k.t, http.StatusOK, r.StatusCode, r.body)
	r.into(k.t, &one)
	var list server.MessageListBody
	k.call(http.MethodGet, "/api/v1/interactions/"+k.message.InteractionID+"/messages", k.a.agentToken, nil).into(k.t, &list)
	require.Equal(k.t, one.Message.Payload, list.Items[len(list.Items)-1].Payload)
	var all []string
	for _, f := range one.Message.Payload.Files {
		all = append(all, f.URL)
		if f.URL != "" {
			left := f.URLUntil.Time().Sub(k.clock.Now())
			require.Greater(k.t, left, 10*time.Minute-time.Second)
			require.LessOrEqual(k.t, left, 15*time.Minute)
		}
	}
	return all
}

func ready(contentType, name string) omni.MediaReference {
	return omni.MediaReference{Type: omni.MediaTypeOf(contentType), ContentType: contentType, FileName: name, State: omni.MediaReady}
}

func TestSec_M4_FilesAreShownOrSaved(t *testing.T) {
	t.Parallel()
	refs := []omni.MediaReference{
		ready("image/png", ""), ready("audio/mpeg", "note.mp3"), ready("video/mp4", "film\u202egpj.html"),
		ready("application/pdf", "Ana's \"paper\".pdf"), ready("text/plain", "page.html"), ready("application/pdf", "Rechnung für März.pdf"),
		{Type: omni.MediaImage, State: omni.MediaPending},
		{Type: omni.MediaImage, State: omni.MediaFailed, Failure: "It is gone."},
	}
	refs[6].External.URL, refs[7].External.URL = "https://files.example/secret", "https://files.example/secret"
	k := keeps(t, refs)
	links := k.links()
	require.Empty(t, links[6], "not here yet")
	require.Empty(t, links[7], "never here")
	for n, want := range []string{
		"inline; filename=image.png", "inline; filename=note.mp3", "inline; filename=filmgpj.html.mp4",
		`attachment; filename="Ana's \"paper\".pdf"`, "attachment; filename=page.html.txt", "attachment; filename*=utf-8''Rechnung%20f%C3%BCr%20M%C3%A4rz.pdf",
	} {
		r := k.call(http.MethodGet, links[n], "", nil)
		require.Equal(t, http.StatusOK, r.StatusCode, r.body)
		require.Equal(t, "0123456789", r.body)
		require.Equal(t, want, r.Header.Get("Content-Disposition"))
		require.Equal(t, refs[n].ContentType, r.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "sandbox; default-src 'none'; frame-ancestors 'none'", r.Header.Get("Content-Security-Policy"))
		require.Equal(t, "same-origin", r.Header.Get("Cross-Origin-Resource-Policy"))
		require.Regexp(t, `^private, max-age=\d{3}, immutable$`, r.Header.Get("Cache-Control"))
	}
	r := k.call(http.MethodGet, links[2], "", nil, "Range", "bytes=2-4")
	require.Equal(t, http.StatusPartialContent, r.StatusCode)
	require.Equal(t, "234", r.body)
	r = k.call(http.MethodGet, links[2], "", nil, "If-None-Match", `"`+k.message.Payload.Files()[2].SHA256+`"`)
	require.Equal(t, http.StatusNotModified, r.StatusCode)
	require.Equal(t, links, k.links(), "links stay for a while, so that a browser keeps what it has")
	require.NotContains(t, k.logs.String(), "s=", "links are not logged")
}

func TestSec_M4_LinksAreForOneFileAndAWhile(t *testing.T) {
	t.Parallel()
	k := keeps(t, []omni.MediaReference{ready("image/png", "a.png"), ready("image/png", "b.png")})
	links := k.links()
	require.Equal(t, http.StatusOK, k.call(http.MethodGet, links[0], "", nil).StatusCode)
	good, err := url.Parse(links[0])
	require.NoError(t, err)
	other, err := url.Parse(links[1])
	require.NoError(t, err)
	part := strings.Split(good.Path, "/")[2:] // organisation, message, file
	link := func(organisation, message, file, expires, signature string) string {
		return "/media/" + organisation + "/" + message + "/" + file + "?e=" + expires + "&s=" + signature
	}
	e, sig := good.Query().Get("e"), good.Query().Get("s")
	theirs := k.visitorWrites(k.b, "mine")
	for name, address := range map[string]string{
		"another organisation":           link(k.b.org.ID, part[1], part[2], e, sig),
		"another organisation's message": link(part[0], theirs.ID, part[2], e, sig),
		"both":                           link(k.b.org.ID, theirs.ID, part[2], e, sig),
		"another file":                   link(part[0], part[1], strings.Split(other.Path, "/")[4], e, sig),
		"another file's signature":       link(part[0], part[1], part[2], e, other.Query().Get("s")),
		"later":                          link(part[0], part[1], part[2], e+"0", sig),
		"never":                          link(part[0], part[1], part[2], "9223372036854775807", sig),
		"no number":                      link(part[0], part[1], part[2], "soon", sig),
		"no signature":                   link(part[0], part[1], part[2], e, ""),
		"cut":                            link(part[0], part[1], part[2], e, sig[:len(sig)-1]),
		"longer":                         link(part[0], part[1], part[2], e, sig+"A"),
		"not base64":                     link(part[0], part[1], part[2], e, "***"),
		"nothing":                        good.Path,
		"ids that are none":              link("a", "b", "c", e, sig),
		"moved parts of what is signed":  link(part[0]+"%20"+part[1], part[2], "x", e, sig),
		"an agent's token does not help": link(k.b.org.ID, part[1], part[2], e, sig),
	} {
		r := k.call(http.MethodGet, address, k.a.agentToken, nil)
		require.Equal(t, http.StatusForbidden, r.StatusCode, name)
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"), name)
		require.NotContains(t, r.body, "0123456789", name)
	}
	r := k.call(http.MethodGet, "/api/v1/messages/"+k.message.ID, k.b.agentToken, nil)
	require.Equal(t, http.StatusNotFound, r.StatusCode, "links are for those who may read the message")

	// Keys are changed: old links work until they expire.
	o := k.options
	o.MediaKeys = [][]byte{bytes.Repeat([]byte("n"), 32), k.options.MediaKeys[0]}
	o.Now = k.clock.Now
	next, err := server.New(k.deps, o)
	require.NoError(t, err)
	get := func(s *server.Server) int {
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, links[0], nil))
		return w.Code
	}
	require.Equal(t, http.StatusOK, get(next))
	o.MediaKeys = o.MediaKeys[:1]
	next, err = server.New(k.deps, o)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, get(next))

	k.clock.Add(9 * time.Minute)
	require.Equal(t, http.StatusOK, k.call(http.MethodGet, links[0], "", nil).StatusCode)
	k.clock.Add(6*time.Minute + time.Second)
	require.Equal(t, http.StatusForbidden, k.call(http.MethodGet, links[0], "", nil).StatusCode)
	require.Equal(t, http.StatusOK, k.call(http.MethodGet, k.links()[0], "", nil).StatusCode, "a new one works")
}

func TestSec_M4_FilesFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	k := keeps(t, []omni.MediaReference{ready("image/png", "a.png")}, func(_ *server.Deps, o *server.Options) { o.MediaURL = "https://media.example.net" })
	link := k.links()[0]
	require.True(t, strings.HasPrefix(link, "https://media.example.net/media/"))
	get := func(address string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		k.server.Public().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
		return w
	}
	w := get(link)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "cross-origin", w.Header().Get("Cross-Origin-Resource-Policy"))
	require.Equal(t, http.StatusNotFound, get(strings.Replace(link, "https://media.example.net", publicURL, 1)).Code, "never from the console's")
	for _, page := range []string{"/", "/widget/panel?widget=" + k.a.livechat.LiveChat.PublicID} {
		policy := k.call(http.MethodGet, page, "", nil).Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "img-src 'self' https://media.example.net ", page)
		require.Contains(t, policy, "media-src 'self' https://media.example.net ", page)
	}

	for change, text := range map[*server.Options]string{
		{MediaURL: "http://media.example.net"}:           "must begin with https",
		{MediaURL: "https://media.example.net/x"}:        "without a path",
		{MediaURL: "media"}:                              "without a path",
		{MediaKeys: [][]byte{[]byte("short")}}:           "at least 32",
		{MediaKeys: [][]byte{}, MediaURL: "https://x.y"}: "need a key",
	} {
		o := k.options
		o.MediaURL = change.MediaURL
		if change.MediaKeys != nil {
			o.MediaKeys = change.MediaKeys
		}
		_, err := server.New(k.deps, o)
		require.ErrorContains(t, err, text)
	}
}

func TestWithoutAFolderThereAreNoFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := s.visitorWrites(s.a, "hello")
	m.ID, m.ClientID = omni.NewID(), ""
	ref := ready("image/png", "a.png")
	ref.ID = omni.NewID()
	m.Payload = omni.NewPayload("", []omni.MediaReference{ref})
	_, err := s.store.AppendMessage(t.Context(), omni.Org(s.a.org.ID), m)
	require.NoError(t, err)
	var b server.MessageBody
	s.call(http.MethodGet, "/api/v1/messages/"+m.ID, s.a.agentToken, nil).into(t, &b)
	require.Equal(t, []wire.File{{ID: ref.ID, Type: omni.MediaImage, ContentType: "image/png", Name: "a.png", State: omni.MediaReady}}, b.Message.Payload.Files)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodGet, "/media/a/b/c", "", nil).StatusCode)
}
