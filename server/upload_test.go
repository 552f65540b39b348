package server_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/folder"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/store"
)

// takesFiles is a server whose pipeline takes uploads.
func takesFiles(t *testing.T, change ...func(*server.Deps, *server.Options)) *kept {
	t.Helper()
	k := &kept{}
	open := func() *folder.Folder {
		f, err := folder.Open(t.TempDir())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		return f
	}
	k.system = start(t, append(change, func(d *server.Deps, o *server.Options) {
		keys, err := seal.New("k1", map[string][]byte{"k1": bytes.Repeat([]byte("k"), seal.KeySize)})
		require.NoError(t, err)
		media := open()
		d.Media = media
		d.Pipeline, err = pipeline.New(d.Store, d.Carriers, keys, publisher{d.Hub}, pipeline.Options{PublicURL: publicURL, Now: o.Now, Log: o.Log, Media: media, Uploads: open()})
		require.NoError(t, err)
		o.MediaKeys = [][]byte{bytes.Repeat([]byte("m"), 32)}
		k.deps, k.options = *d, *o
	})...)
	return k
}

func pngFile(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 3, 2))))
	return b.String()
}

// form makes a form of parts: field, file name, type, content, and so on.
func form(t *testing.T, parts ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for n := 0; n < len(parts); n += 4 {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, parts[n], parts[n+1])}}
		if parts[n+2] != "" {
			h.Set("Content-Type", parts[n+2])
		}
		part, err := w.CreatePart(h)
		require.NoError(t, err)
		_, err = io.WriteString(part, parts[n+3])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.String()
}

func (k *kept) upload(token string, parts ...string) reply {
	k.t.Helper()
	typ, body := form(k.t, parts...)
	return k.call(http.MethodPost, "/api/v1/media", token, body, "Content-Type", typ)
}

func TestUploadedFilesAreSent(t *testing.T) {
	t.Parallel()
	k := takesFiles(t)
	r := k.upload(k.a.agentToken, "note", "", "", "before", "file", "Ana's photo.png", "image/png", pngFile(t))
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var f server.MediaBody
	r.into(t, &f)
	require.True(t, omni.ValidID(f.ID))
	require.InDelta(t, k.clock.Now().Add(24*time.Hour).UnixMilli(), int64(f.ExpiresAt), 60_000)
	require.Equal(t, server.MediaBody{
		ID: f.ID, Type: omni.MediaImage, ContentType: "image/png", Size: int64(len(pngFile(t))), Name: "Ana's photo.png", ExpiresAt: f.ExpiresAt,
	}, f)

	in := k.visitorWrites(k.a, "hello")
	path := "/api/v1/interactions/" + in.InteractionID + "/messages"
	c := map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"files": []string{f.ID}}}
	r = k.call(http.MethodPost, path, k.b.agentToken, c)
	require.Equal(t, http.StatusNotFound, r.StatusCode)
	r = k.call(http.MethodPost, path, k.a.adminToken, c)
	require.Equal(t, http.StatusBadRequest, r.StatusCode, "another one's")
	require.Contains(t, r.body, "there is no such file")
	r = k.call(http.MethodPost, path, k.a.agentToken, c, "Idempotency-Key", "k")
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var m wire.Message
	r.into(t, &m)
	require.Equal(t, []wire.File{{ID: f.ID, Type: omni.MediaImage, ContentType: "image/png", Size: f.Size, Name: f.Name, State: omni.MediaReady}}, m.Payload.Files)
	again := k.call(http.MethodPost, path, k.a.agentToken, c, "Idempotency-Key", "k")
	require.Equal(t, r.body, again.body)
	r = k.call(http.MethodPost, path, k.a.agentToken, map[string]any{"clientId": omni.NewID(), "payload": map[string]any{}})
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	require.Contains(t, r.body, "payload.text")

	k.message.ID, k.message.InteractionID = m.ID, m.InteractionID
	link := k.links()[0]
	require.Equal(t, pngFile(t), k.call(http.MethodGet, link, "", nil).body)
	require.NotContains(t, k.logs.String(), "photo", "rule K3: no names of files")
}

func TestVisitorsHaveLinksToFiles(t *testing.T) {
	t.Parallel()
	k := takesFiles(t)
	var f server.MediaBody
	k.upload(k.a.agentToken, "file", "a.png", "", pngFile(t)).into(t, &f)
	var v server.VisitorSessionBody
	k.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": k.a.livechat.LiveChat.PublicID}).into(t, &v)
	r := k.call(http.MethodPost, "/livechat/v1/messages", v.Token, map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "hello"}})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	refused := k.call(http.MethodPost, "/livechat/v1/messages", v.Token, map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "x", "files": []string{f.ID}}})
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	var in wire.VisitorMessage
	r.into(t, &in)
	written, err := k.store.Message(t.Context(), omni.Org(k.a.org.ID), in.ID)
	require.NoError(t, err)
	r = k.call(http.MethodPost, "/api/v1/interactions/"+written.InteractionID+"/messages", k.a.agentToken,
		map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "look", "files": []string{f.ID}}})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)

	var list server.VisitorMessageListBody
	k.call(http.MethodGet, "/livechat/v1/messages?after=1&limit=1", v.Token, nil).into(t, &list)
	require.Len(t, list.Items, 1)
	got := list.Items[0].Payload.Files[0]
	require.NotEmpty(t, got.URL)
	require.LessOrEqual(t, got.URLUntil.Time().Sub(k.clock.Now()), 15*time.Minute)
	require.Equal(t, pngFile(t), k.call(http.MethodGet, got.URL, "", nil).body)
}

func TestSec_M3_UploadsAreRefusedWithWords(t *testing.T) {
	t.Parallel()
	k := takesFiles(t, func(_ *server.Deps, o *server.Options) { o.Limits.Uploads = server.Rate{PerSecond: 0.001, Burst: 30} })
	typ, body := form(t, "file", "a.png", "image/png", pngFile(t))
	longType, long := form(t, "file", "a.txt", "text/plain", strings.Repeat("text ", pipeline.MaxFile/5+1))
	hugeType, huge := form(t, "file", "a.txt", "text/plain", strings.Repeat("text ", pipeline.MaxFile/5+20_000))
	for name, c := range map[string]struct {
		typ, body string
		status    int
		want      string
	}{
		"JSON":            {"application/json", "{}", 415, "multipart/form-data"},
		"no boundary":     {"multipart/form-data", body, 415, "multipart/form-data"},
		"raw":             {"image/png", pngFile(t), 415, "multipart/form-data"},
		"no form":         {typ, "nothing", 400, "is required"},
		"cut in a header": {typ, body[:80], 400, "cannot be read"},
		"cut in the file": {typ, body[:len(body)-90], 400, "ended early"},
		"too large":       {longType, long, 413, "larger than 25 MB"},
		"far too large":   {hugeType, huge, 413, "larger than 25 MB"},
	} {
		r := k.call(http.MethodPost, "/api/v1/media", k.a.agentToken, c.body, "Content-Type", c.typ)
		require.Equal(t, c.status, r.StatusCode, "%s: %s", name, r.body)
		require.Contains(t, r.body, c.want, name)
		require.Equal(t, "invalid", r.code(t), name)
	}
	for name, parts := range map[string][]string{
		"another field": {"photo", "a.png", "image/png", pngFile(t)},
		"HTML":          {"file", "a.html", "text/html", "<!doctype html><script>alert(1)</script>"},
		"SVG":           {"file", "a.png", "image/png", `<svg xmlns="http://www.w3.org/2000/svg"/>`},
		"empty":         {"file", "a.png", "image/png", ""},
	} {
		r := k.upload(k.a.agentToken, parts...)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, name)
		require.Contains(t, r.body, `"fields":{"file":`, name)
	}
	require.Equal(t, http.StatusUnauthorized, k.upload("", "file", "a.png", "", pngFile(t)).StatusCode)
	l, err := k.store.MediaFiles().List(t.Context(), omni.Org(k.a.org.ID), "", store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items)

	for range 31 {
		if r := k.upload(k.b.agentToken, "file", "a.txt", "", "text"); r.StatusCode != http.StatusCreated {
			require.Equal(t, http.StatusTooManyRequests, r.StatusCode, r.body)
			require.NotEmpty(t, r.Header.Get("Retry-After"))
			return
		}
	}
	require.Fail(t, "uploads are not limited")
}

// outbound stores a message with a file that a carrier may fetch.
func (k *kept) outbound(contentType, name, content string) (omni.ServiceMessage, omni.MediaReference) {
	k.t.Helper()
	in := k.visitorWrites(k.a, "hello")
	ref := ready(contentType, name)
	ref.ID = omni.NewID()
	f, ok := k.deps.Media.(*folder.Folder)
	require.True(k.t, ok)
	var err error
	ref.SHA256, ref.Size, err = f.Put(k.t.Context(), k.a.org.ID, strings.NewReader(content))
	require.NoError(k.t, err)
	m := in
	m.ID, m.ClientID, m.Direction, m.Status, m.StatusAt = omni.NewID(), "", omni.Outbound, omni.StatusSent, m.CreatedAt
	m.Payload = omni.NewPayload("", []omni.MediaReference{ref})
	a, err := k.store.AppendMessage(k.t.Context(), omni.Org(k.a.org.ID), m)
	require.NoError(k.t, err)
	return a.Message, ref
}

func TestSec_M4_CarriersFetchFilesWithoutALogin(t *testing.T) {
	t.Parallel()
	k := takesFiles(t)
	m, ref := k.outbound("image/png", "a.png", "0123456789")
	link := k.server.FileLink(m, ref)
	require.True(t, strings.HasPrefix(link, publicURL+"/m/"))
	require.True(t, strings.HasSuffix(link, ".png"))
	path := strings.TrimPrefix(link, publicURL)
	require.Less(t, len(path), 180)
	for _, p := range []string{path, strings.TrimSuffix(path, ".png")} {
		r := k.call(http.MethodGet, p, "", nil)
		require.Equal(t, http.StatusOK, r.StatusCode, r.body)
		require.Equal(t, "0123456789", r.body)
		require.Equal(t, "image/png", r.Header.Get("Content-Type"))
		require.EqualValues(t, 10, r.ContentLength)
		require.Equal(t, "inline; filename=a.png", r.Header.Get("Content-Disposition"))
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "sandbox; default-src 'none'; frame-ancestors 'none'", r.Header.Get("Content-Security-Policy"))
		require.Equal(t, "private, no-store", r.Header.Get("Cache-Control"))
	}
	head := k.call(http.MethodHead, path, "", nil)
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.EqualValues(t, 10, head.ContentLength)
	part := k.call(http.MethodGet, path, "", nil, "Range", "bytes=2-4")
	require.Equal(t, http.StatusPartialContent, part.StatusCode)
	require.Equal(t, "234", part.body)
	paper, pdf := k.outbound("application/pdf", "a.pdf", "%PDF-1.7")
	saved := k.call(http.MethodGet, strings.TrimPrefix(k.server.FileLink(paper, pdf), publicURL), "", nil)
	require.Equal(t, "attachment; filename=a.pdf", saved.Header.Get("Content-Disposition"))
	token := strings.TrimSuffix(strings.TrimPrefix(path, "/m/"), ".png")
	require.NotContains(t, k.logs.String(), token, "links are not logged")

	gone := func(what, p string) {
		t.Helper()
		r := k.call(http.MethodGet, p, k.a.agentToken, nil)
		require.Equal(t, http.StatusNotFound, r.StatusCode, what)
		require.NotContains(t, r.body, "0123456789", what)
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"), what)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	for n := range raw {
		changed := bytes.Clone(raw)
		changed[n] ^= 1
		gone(fmt.Sprint("byte ", n), "/m/"+base64.RawURLEncoding.EncodeToString(changed))
	}
	for what, p := range map[string]string{
		"cut": "/m/" + token[:len(token)-2], "longer": "/m/" + token + "AAAA", "nothing": "/m/.png", "no base64": "/m/***",
		"another alphabet": "/m/" + strings.NewReplacer("-", "+", "_", "%2F").Replace(token) + "=",
	} {
		gone(what, p)
	}
	other := m
	other.Tenant = omni.Org(k.b.org.ID)
	gone("another organisation's, signed by us", strings.TrimPrefix(k.server.FileLink(other, ref), publicURL))
	nobody := ref
	nobody.ID = omni.NewID()
	gone("a file that the message does not have", strings.TrimPrefix(k.server.FileLink(m, nobody), publicURL))
	nobody.ID = "x"
	require.Empty(t, k.server.FileLink(m, nobody))

	// A link for agents is none for carriers, and the other way round.
	k.message = m
	agents, err := url.Parse(k.links()[0])
	require.NoError(t, err)
	gone("an agent's signature", "/m/"+agents.Query().Get("s"))
	q := agents.Query()
	q.Set("s", base64.RawURLEncoding.EncodeToString(raw[len(raw)-32:]))
	require.Equal(t, http.StatusForbidden, k.call(http.MethodGet, agents.Path+"?"+q.Encode(), "", nil).StatusCode)

	k.clock.Add(12*time.Hour - time.Minute)
	require.Equal(t, http.StatusOK, k.call(http.MethodGet, path, "", nil).StatusCode)
	k.clock.Add(2 * time.Minute)
	gone("expired", path)
}

func TestSec_M4_CarriersFetchFromTheOriginOfFiles(t *testing.T) {
	t.Parallel()
	k := takesFiles(t, func(_ *server.Deps, o *server.Options) { o.MediaURL = "https://media.example.net" })
	m, ref := k.outbound("image/png", "a.png", "0123456789")
	link := k.server.FileLink(m, ref)
	require.True(t, strings.HasPrefix(link, "https://media.example.net/m/"))
	get := func(address string, keys ...[]byte) int {
		s := k.server
		if keys != nil {
			o := k.options
			o.MediaKeys = keys
			var err error
			s, err = server.New(k.deps, o)
			require.NoError(t, err)
		}
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
		return w.Code
	}
	require.Equal(t, http.StatusOK, get(link))
	require.Equal(t, http.StatusNotFound, get(strings.Replace(link, "https://media.example.net", publicURL, 1)), "never from the console's")
	next := bytes.Repeat([]byte("n"), 32)
	require.Equal(t, http.StatusOK, get(link, next, k.options.MediaKeys[0]), "keys are changed: old links work until they expire")
	require.Equal(t, http.StatusNotFound, get(link, next))
	k.options.MediaURL = ""
	d := k.deps
	d.Media = nil
	s, err := server.New(d, k.options)
	require.NoError(t, err)
	require.Empty(t, s.FileLink(m, ref), "no files are kept")
}

// slow gives a file a byte at a time, and then nothing.
type slow struct{ n int }

func (s *slow) Read(b []byte) (int, error) {
	if s.n--; s.n < 0 {
		return 0, errors.New("gone")
	}
	b[0] = 'a'
	return 1, nil
}

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	k := takesFiles(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.http.URL+"/api/v1/media",
		io.MultiReader(strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"), &slow{100}))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	req.Header.Set("Authorization", "Bearer "+k.a.agentToken)
	_, err = http.DefaultClient.Do(req)
	require.Error(t, err)
	l, err := k.store.MediaFiles().List(t.Context(), omni.Org(k.a.org.ID), "", store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items)
}
