package pipeline_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/folder"
	"omniservice/internal/httpout"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

// withMedia lets a pipeline keep files, and fetch them from servers on this machine that are given.
func withMedia(t *testing.T, keep *pipeline.Media, servers ...*httptest.Server) func(*pipeline.Options) {
	t.Helper()
	f, err := folder.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	if keep != nil {
		*keep = f
	}
	return func(o *pipeline.Options) {
		o.Media, o.RetryBase = f, time.Millisecond
		if servers == nil {
			return // the client that there is in production
		}
		roots := x509.NewCertPool()
		for _, s := range servers {
			roots.AddCert(s.Certificate())
		}
		o.MediaHTTP = httpout.New(httpout.Options{Timeout: pipeline.FetchTimeout, MaxBody: pipeline.MaxFile, AllowLoopback: true, RootCAs: roots})
	}
}

func files(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return s
}

// mms is an inbound message with files, each a URL and the content type that is claimed for it.
func mms(id string, pairs ...string) omni.CarrierChannelEvent {
	e := inbound(id, "+14155550123", "look")
	e.ChannelType = omni.ChannelMMS
	for n := 0; n < len(pairs); n += 2 {
		e.Media = append(e.Media, omni.MediaReference{
			Carrier: omni.CarrierTest, Type: omni.MediaTypeOf(pairs[n+1]), ContentType: pairs[n+1], State: omni.MediaPending,
			External: omni.ExternalRef{URL: pairs[n]},
		})
	}
	return e
}

// settled waits until no file of the messages waits any more, and gives the files of the newest message.
func (s *system) settled(updates int) []omni.MediaReference {
	s.t.Helper()
	s.eventually(func() bool { return len(s.pub.of(wire.MessageUpdated)) == updates }, "all files fetched or failed")
	all := s.messages(s.interactions()[0].ID)
	newest := all[0]
	for _, m := range all {
		if m.Sequence > newest.Sequence {
			newest = m
		}
	}
	return newest.Payload.Files()
}

func picture(t *testing.T, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, encode(&b, image.NewRGBA(image.Rect(0, 0, 3, 2))))
	return b.Bytes()
}

func pngFile(t *testing.T) []byte {
	t.Helper()
	return picture(t, png.Encode)
}

// hugePNG says that it has so many pixels, and has none.
func hugePNG(width, height uint32) []byte {
	head := append([]byte("IHDR"), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)...)
	head = append(head, 8, 6, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	b = append(b, head...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(head))
}

func TestFilesOfAMessageArrive(t *testing.T) {
	t.Parallel()
	picture := pngFile(t)
	var asked atomic.Int64
	server := files(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/picture":
			_, _ = io.WriteString(w, "%PDF-1.7\n%âãÏÓ\n")
		case asked.Add(1) < 3:
			http.Error(w, "not yet", http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "text/html") // what the server says of it is not looked at
			_, _ = w.Write(picture)
		}
	})
	var kept pipeline.Media
	s := newSystem(t, withMedia(t, &kept, server)).run()
	s.accept(mms("in-1", server.URL+"/picture?token=secret", "image/jpeg", server.URL+"/paper", "application/octet-stream"))
	got := s.settled(2)

	require.Equal(t, omni.MediaReady, got[0].State)
	require.Equal(t, omni.MediaImage, got[0].Type)
	require.Equal(t, "image/png", got[0].ContentType, "as it is, not as it was said to be")
	require.Equal(t, int64(len(picture)), got[0].Size)
	require.True(t, omni.ValidID(got[0].ID))
	require.Equal(t, int64(3), asked.Load())
	require.Equal(t, omni.MediaReady, got[1].State)
	require.Equal(t, "application/pdf", got[1].ContentType)
	require.Equal(t, omni.MediaDocument, got[1].Type)

	f, err := kept.Open(t.Context(), s.tenant.OrganisationID, got[0].SHA256)
	require.NoError(t, err)
	content, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, picture, content)
	_, err = kept.Open(t.Context(), omni.NewID(), got[0].SHA256)
	require.Error(t, err, "another organisation has no such file")

	created := s.pub.of(wire.MessageCreated)[0]
	updated := s.pub.of(wire.MessageUpdated)
	require.Equal(t, omni.MediaPending, created.data.(wire.Message).Payload.Files[0].State)
	require.Equal(t, created.topic, updated[1].topic)
	last := updated[1].data.(wire.Message)
	require.Equal(t, created.data.(wire.Message).ID, last.ID)
	require.Equal(t, omni.MediaReady, last.Payload.Files[0].State)
	require.Empty(t, last.Payload.Files[0].URL, "links are for REST alone: an event may be read much later")
	ready := s.pub.of(wire.MediaReady)
	require.Len(t, ready, 2)
	require.Equal(t, created.topic, ready[1].topic)
	file := ready[1].data.(wire.FileChange)
	require.Equal(t, last.ID, file.MessageID)
	require.Equal(t, last.Payload.Files[file.Index], file.File)
	require.Empty(t, s.pub.of(wire.MediaFailed))

	s.accept(mms("in-1", server.URL+"/picture", "image/jpeg"))
	s.accept(inbound("in-2", "+14155550123", "after"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 }, "the message after")
	require.Equal(t, int64(3), asked.Load(), "delivered again, it is not fetched again")
}

func TestFilesWaitForAPipelineThatFetchesThem(t *testing.T) {
	t.Parallel()
	server := files(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(pngFile(t)) })
	s := newSystem(t).run() // keeps no files
	s.accept(mms("in-1", server.URL, "image/png"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the message")
	s.stop()
	require.Equal(t, omni.MediaPending, s.messages(s.interactions()[0].ID)[0].Payload.Files()[0].State)

	withMedia(t, nil, server)(&s.options)
	var err error
	s.Pipeline, err = pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	s.run()
	require.Equal(t, omni.MediaReady, s.settled(1)[0].State)
}

func TestSec_M3_OnlyListedKindsAreKept(t *testing.T) {
	t.Parallel()
	jpg := picture(t, func(w io.Writer, i image.Image) error { return jpeg.Encode(w, i, nil) })
	anim := picture(t, func(w io.Writer, i image.Image) error { return gif.Encode(w, i, nil) })
	webp := "RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"
	var docx bytes.Buffer
	z := zip.NewWriter(&docx)
	for _, name := range []string{"[Content_Types].xml", "_rels/.rels", "word/document.xml"} {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, "<x/>")
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	svg := `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`
	const (
		harm    = "can do harm"
		other   = "not what it was said"
		damaged = "damaged"
	)
	cases := []struct {
		name, content, claim string
		want                 string // content type, or a part of why it failed
		kind                 omni.MediaType
	}{
		{"svg", svg, "image/svg+xml", harm, ""},
		{"svg as png", svg, "image/png", harm, ""},
		{"svg as file", svg, "", harm, ""},
		{"svg with a prolog", `<?xml version="1.0"?>` + "\n" + svg, "image/png", harm, ""},
		{"html as jpeg", "<!DOCTYPE html><script>alert(1)</script>", "image/jpeg", harm, ""},
		{"html as text", " \n<html><body onload=alert(1)>", "text/plain", harm, ""},
		{"xml", `<?xml version="1.0"?><a/>`, "application/xml", harm, ""},
		{"script", "#!/bin/sh\necho hi\n", "text/plain", harm, ""},
		{"program", "MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff", "application/octet-stream", harm, ""},
		{"archive", "PK\x05\x06" + strings.Repeat("\x00", 18), "application/zip", harm, ""},
		{"text as png", "just words", "image/png", other, ""},
		{"pdf as png", "%PDF-1.7\n", "image/png", other, ""},
		{"png as pdf", string(pngFile(t)), "application/pdf", other, ""},
		{"png of 40,000,001 pixels", string(hugePNG(40_000_001, 1)), "image/png", "40 million", ""},
		{"png of 2^62 pixels", string(hugePNG(1<<31-1, 1<<31-1)), "image/png", damaged, ""},
		{"cut png", string(pngFile(t)[:20]), "image/png", damaged, ""},
		{"nothing", "", "image/png", "empty", ""},

		{"png of 40,000,000 pixels", string(hugePNG(40_000_000, 1)), "image/png", "image/png", omni.MediaImage},
		{"png", string(pngFile(t)), "image/png", "image/png", omni.MediaImage},
		{"png, not said to be", string(pngFile(t)), "", "image/png", omni.MediaImage},
		{"jpeg as png", string(jpg), "image/png; charset=x", "image/jpeg", omni.MediaImage},
		{"gif", string(anim), "image/gif", "image/gif", omni.MediaImage},
		{"webp", webp, "image/webp", "image/webp", omni.MediaImage},
		{"mp3", "\xff\xfb\x90\x00" + strings.Repeat("\x00", 32), "audio/mpeg", "audio/mpeg", omni.MediaAudio},
		{"voice note", "#!AMR\n\x3c\x00", "audio/amr", "audio/amr", omni.MediaAudio},
		{"opus", "OggS\x00\x02" + strings.Repeat("\x00", 22) + "OpusHead" + strings.Repeat("\x00", 16), "audio/ogg; codecs=opus", "audio/ogg", omni.MediaAudio},
		{"wav", "RIFF\x24\x00\x00\x00WAVEfmt ", "audio/x-wav", "audio/wav", omni.MediaAudio},
		{"mp4", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "video/mp4", "video/mp4", omni.MediaVideo},
		{"sound in a film's container", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "audio/mp4", "video/mp4", omni.MediaAudio},
		{"3gp", "\x00\x00\x00\x18ftyp3gp4\x00\x00\x00\x003gp4isom", "video/3gpp", "video/3gpp", omni.MediaVideo},
		{"vcard", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ana\r\nEND:VCARD\r\n", "text/x-vcard", "text/vcard", omni.MediaDocument},
		{"text", "just words", "text/plain", "text/plain", omni.MediaDocument},
		{"docx", docx.String(), "application/octet-stream", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", omni.MediaDocument},
	}
	byPath := map[string]string{}
	server := files(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, byPath[r.URL.Path]) })
	s := newSystem(t, withMedia(t, nil, server))
	for n, c := range cases {
		path := "/" + url.PathEscape(c.name)
		byPath["/"+c.name] = c.content
		s.accept(mms("in-"+string(rune('A'+n)), server.URL+path, c.claim))
	}
	s.run()
	s.settled(len(cases))
	for _, m := range s.messages(s.interactions()[0].ID) {
		require.NoError(t, m.Payload.Validate())
		c := cases[[]rune(m.CarrierMessageID)[3]-'A']
		got := m.Payload.Files()[0]
		if c.kind == "" {
			require.Equal(t, omni.MediaFailed, got.State, c.name)
			require.Contains(t, got.Failure, c.want, c.name)
			require.Empty(t, got.SHA256, c.name)
			continue
		}
		require.Equal(t, omni.MediaReady, got.State, "%s: %s", c.name, got.Failure)
		require.Equal(t, c.want, got.ContentType, c.name)
		require.Equal(t, c.kind, got.Type, c.name)
		require.Equal(t, int64(len(c.content)), got.Size, c.name)
	}
}

func TestSec_X8_ForbiddenPlacesAreNeverAsked(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	inside := files(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	u, err := url.Parse(inside.URL)
	require.NoError(t, err)
	var pairs []string
	for _, address := range []string{
		inside.URL, "https://localhost:" + u.Port(), "https://[::1]:" + u.Port(), "https://[::ffff:127.0.0.1]:" + u.Port(),
		"https://169.254.169.254/latest/meta-data/", "https://10.0.0.1/x", "https://[fd00:ec2::254]/", "http://example.com/x",
		"file:///etc/passwd", "//example.com/x", "https://user:secret@example.com/x", "%", "",
	} {
		pairs = append(pairs, address, "image/png")
	}
	s := newSystem(t, withMedia(t, nil)).run()
	e := mms("in-1", pairs...)
	e.Media[len(e.Media)-1].External.ID = "only an id" // no URL at all
	s.accept(e)
	for n, f := range s.settled(len(e.Media)) {
		require.Equal(t, omni.MediaFailed, f.State, e.Media[n].External.URL)
		require.Contains(t, f.Failure, "address", e.Media[n].External.URL)
	}
	require.Zero(t, reached.Load())
}

func TestSec_X8_RedirectsAndSizesAreBounded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]int{}
	server := files(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		mu.Unlock()
		switch r.URL.Path {
		case "/private":
			http.Redirect(w, r, "https://10.0.0.1/x", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, "http://example.com/x", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/said":
			w.Header().Set("Content-Length", "10737418240")
			_, _ = w.Write(hugePNG(1, 1))
		case "/refused":
			w.WriteHeader(http.StatusForbidden)
		case "/away":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := newSystem(t, withMedia(t, nil, server)).run()
	cases := []struct {
		path, words string
		asked       int
	}{
		{"/private", "address", 1},
		{"/plain", "address", 1},
		{"/round", "address", 4},
		{"/said", "25 MB", 1},
		{"/refused", "An admin", 5},
		{"/away", "could not be fetched", 5},
	}
	var pairs []string
	for _, c := range cases {
		pairs = append(pairs, server.URL+c.path, "image/png")
	}
	s.accept(mms("in-1", pairs...))
	got := s.settled(len(cases))
	mu.Lock()
	defer mu.Unlock()
	for n, c := range cases {
		require.Equal(t, omni.MediaFailed, got[n].State, c.path)
		require.Contains(t, got[n].Failure, c.words, c.path)
		require.Equal(t, c.asked, asked[c.path], c.path)
	}
}

func TestSec_X8_AnEndlessFileIsCut(t *testing.T) {
	t.Parallel()
	server := files(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(hugePNG(1, 1))
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	s := newSystem(t, withMedia(t, nil, server), func(o *pipeline.Options) { o.MediaHTTP.Timeout = time.Minute }).run()
	s.accept(mms("in-1", server.URL, "image/png"))
	got := s.settled(1)[0]
	require.Equal(t, omni.MediaFailed, got.State)
	require.Contains(t, got.Failure, "25 MB")
}

func TestSec_X8_ASlowFileIsGivenUp(t *testing.T) {
	t.Parallel()
	server := files(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(hugePNG(1, 1))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s := newSystem(t, withMedia(t, nil, server), func(o *pipeline.Options) { o.MediaHTTP.Timeout = 200 * time.Millisecond }).run()
	s.accept(mms("in-1", server.URL, "image/png"))
	got := s.settled(1)[0]
	require.Equal(t, omni.MediaFailed, got.State)
	require.Contains(t, got.Failure, "could not be fetched")
}

func TestSec_M1_ACarriersPasswordGoesToItsHostsOnly(t *testing.T) {
	t.Parallel()
	var leaked, foreign atomic.Int64
	storage := files(t, func(w http.ResponseWriter, r *http.Request) {
		foreign.Add(1)
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
		_, _ = w.Write(pngFile(t))
	})
	api := files(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "password" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, storage.URL+"/signed", http.StatusTemporaryRedirect)
	})
	s := newSystem(t, withMedia(t, nil, api, storage))
	s.carrier.mediaHosts = []string{strings.TrimPrefix(api.URL, "https://")}
	s.run()
	s.accept(mms("in-1", api.URL+"/file", "image/png", storage.URL+"/elsewhere", "image/png"))
	got := s.settled(2)
	require.Equal(t, omni.MediaReady, got[0].State, got[0].Failure)
	require.Equal(t, omni.MediaFailed, got[1].State)
	require.Len(t, s.pub.of(wire.MediaFailed), 1)
	require.Contains(t, got[1].Failure, "address")
	require.Equal(t, int64(1), foreign.Load(), "only through the carrier's own redirect")
	require.Zero(t, leaked.Load())
}

// What a carrier tells of a file's content is looked at: what came is that, or it is fetched again and at last given up.
func TestAFileIsTheOneThatWasSent(t *testing.T) {
	t.Parallel()
	sent := pngFile(t)
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	cut := sent[:len(sent)-1]
	long := append(slices.Clone(sent), make([]byte, 600<<10)...) // more than is looked at before it is kept
	var mu sync.Mutex
	asked := map[string]int{}
	server := files(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
		switch {
		case r.URL.Path == "/long":
			_, _ = w.Write(long)
		case r.URL.Path == "/cut", r.URL.Path == "/late" && asked["/late"] < 3:
			_, _ = w.Write(cut)
		default:
			_, _ = w.Write(sent)
		}
	})
	cases := []struct {
		path      string
		sum       string // in the webhook
		sumLater  string // learnt as it is fetched
		asked     int
		damaged   bool
		wantGiven []byte
	}{
		{"/whole", sum(sent), "", 1, false, sent},
		{"/long", sum(long), "", 1, false, long},
		{"/untold", "", "", 1, false, sent},
		{"/later", "", sum(sent), 1, false, sent},
		{"/both", sum(sent), sum(cut), 1, false, sent}, // the webhook's word is the first
		{"/late", sum(sent), "", 3, false, sent},
		{"/cut", sum(sent), "", 5, true, nil},
		{"/another", "", sum(cut), 5, true, nil},
	}
	var kept pipeline.Media
	s := newSystem(t, withMedia(t, &kept, server))
	s.carrier.mediaHosts = []string{strings.TrimPrefix(server.URL, "https://")}
	s.run()
	e := mms("in-1")
	for _, c := range cases {
		ref := mms("", server.URL+c.path, "image/png").Media[0]
		ref.SHA256, ref.External.ID = c.sum, c.sumLater
		e.Media = append(e.Media, ref)
	}
	gone := mms("", server.URL+"/gone", "image/png").Media[0]
	gone.External.ID = "gone"
	e.Media = append(e.Media, gone)
	s.accept(e)
	got := s.settled(len(e.Media))
	mu.Lock()
	defer mu.Unlock()
	for n, c := range cases {
		require.Equal(t, c.asked, asked[c.path], c.path)
		if c.damaged {
			require.Equal(t, omni.MediaFailed, got[n].State, c.path)
			require.Contains(t, got[n].Failure, "damaged", c.path)
			continue
		}
		require.Equal(t, omni.MediaReady, got[n].State, "%s: %s", c.path, got[n].Failure)
		require.Equal(t, sum(c.wantGiven), got[n].SHA256, c.path)
		require.Equal(t, c.wantGiven, content(t, kept, s.tenant.OrganisationID, got[n].SHA256), c.path)
	}
	last := got[len(cases)]
	require.Equal(t, omni.MediaFailed, last.State)
	require.Contains(t, last.Failure, "does not have the file")
	require.Zero(t, asked["/gone"])
	_, err := kept.Open(t.Context(), s.tenant.OrganisationID, sum(cut))
	require.ErrorIs(t, err, fs.ErrNotExist, "what is damaged is not kept")
}

func TestSec_M1_HostsOfACarrier(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		listed, host string
		want         bool
	}{
		{"files.example.test", "files.example.test", true},
		{"files.example.test", "FILES.example.test", true},
		{"files.example.test:8443", "files.example.test:8443", true},
		{"files.example.test", "files.example.test:8443", false},
		{"files.example.test", "a.files.example.test", false},
		{"*.example.test", "files.example.test", true},
		{"*.example.test", "a.Files.example.test", true},
		{"*.example.test", "example.test", false},
		{"*.example.test", ".example.test.evil.test", false},
		{"*.example.test", "evilexample.test", false},
		{"*.example.test", "files.example.test:8443", false},
	} {
		require.Equal(t, x.want, pipeline.HostListed(x.listed, x.host), "%s %s", x.listed, x.host)
	}
}
