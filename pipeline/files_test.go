package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/internal/folder"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
)

// able is a channel that carries files as its carrier's MMS would.
var able = omni.Capabilities{
	MaxTextLength: 1600, Segmented: true, Captions: true, MediaTypes: []string{"image/*", "application/pdf", "text/plain"},
	MaxMediaBytes: 1 << 20, MaxMediaCount: 3,
}

// outgoing is a system that keeps files and whose SMS channel carries them, with a conversation.
type outgoing struct {
	*system

	media   pipeline.Media
	uploads *folder.Folder
	talk    omni.Interaction
}

func sends(t *testing.T, adjust ...func(*pipeline.Options)) *outgoing {
	t.Helper()
	o := &outgoing{}
	up, err := folder.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, up.Close()) })
	o.uploads = up
	all := append([]func(*pipeline.Options){withMedia(t, &o.media), func(p *pipeline.Options) {
		p.Uploads = up
		p.FileURL = func(m omni.ServiceMessage, f omni.MediaReference) string {
			return "https://gw.example.test/m/" + m.ID + "." + f.ID
		}
	}}, adjust...)
	o.system = newSystem(t, all...)
	o.carries(able)
	o.run()
	o.accept(inbound("in-1", "+14155550123", "hello"))
	o.eventually(func() bool { return len(o.pub.of(wire.MessageCreated)) == 1 }, "the first message")
	o.talk = o.interactions()[0]
	return o
}

// carries changes what the SMS channel carries.
func (o *outgoing) carries(c omni.Capabilities) {
	o.t.Helper()
	ch, err := o.store.Channel(o.t.Context(), o.tenant, o.sms.ID)
	require.NoError(o.t, err)
	ch.Capabilities = c
	_, err = o.store.UpdateChannel(o.t.Context(), o.tenant, ch)
	require.NoError(o.t, err)
	o.Forget("channel", ch.ID)
}

func (o *outgoing) upload(a pipeline.Actor, name, typ string, content []byte) omni.MediaFile {
	o.t.Helper()
	f, err := o.Upload(o.t.Context(), a, pipeline.Upload{Name: name, ContentType: typ, Body: bytes.NewReader(content)})
	require.NoError(o.t, err)
	return f
}

func (o *outgoing) with(text string, ids ...string) wire.SendMessage {
	return wire.SendMessage{InteractionID: o.talk.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: text, Files: ids}}
}

func (o *outgoing) record(id string) omni.MediaFile {
	o.t.Helper()
	f, err := o.store.MediaFiles().Get(o.t.Context(), o.tenant, id)
	require.NoError(o.t, err)
	return f
}

func content(t *testing.T, m pipeline.Media, owner, sum string) []byte {
	t.Helper()
	r, err := m.Open(t.Context(), owner, sum)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, errors.Join(err, r.Close()))
	return b
}

func TestAFileGoesFromUploadToCarrier(t *testing.T) {
	t.Parallel()
	o := sends(t)
	photo := pngFile(t)
	f := o.upload(o.ana, `C:\photos\me.png`, "image/png", photo)
	require.Equal(t, omni.MediaImage, f.Type)
	require.Equal(t, "image/png", f.ContentType)
	require.Equal(t, "me.png", f.FileName)
	require.EqualValues(t, len(photo), f.Size)
	require.Equal(t, o.ana.Tenant, f.Tenant)
	require.Empty(t, f.MessageID)
	paper := o.upload(o.ana, "paper.pdf", "application/pdf", []byte("%PDF-1.7\n1 0 obj"))

	c := o.with("look", f.ID, paper.ID)
	m, created, err := o.Send(t.Context(), o.ana, c)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, omni.PayloadMedia, m.Payload.Type)
	require.Equal(t, "look", m.Payload.TextBody())
	require.Equal(t, omni.ChannelMMS, m.Publish.ChannelType)
	require.Equal(t, omni.ChannelMMS, m.Channel.ChannelType)
	require.Zero(t, m.Segments, "it is no SMS")
	o.eventually(func() bool { return len(o.carrier.sends()) == 1 }, "the carrier gets it")

	// The carrier gets addresses; nobody else does.
	for n, ref := range o.carrier.sends()[0].Payload.Files() {
		require.Equal(t, "https://gw.example.test/m/"+m.ID+"."+ref.ID, ref.External.URL)
		require.Equal(t, []string{f.ID, paper.ID}[n], ref.ID)
	}
	o.eventually(func() bool { return o.message(m.ID).Status == omni.StatusSent }, "it is sent")
	for _, ref := range o.message(m.ID).Payload.Files() {
		require.Empty(t, ref.External)
		require.Equal(t, omni.MediaReady, ref.State)
	}
	require.Equal(t, photo, content(t, o.media, o.tenant.OrganisationID, f.SHA256))
	for _, id := range c.Payload.Files {
		require.Equal(t, m.ID, o.record(id).MessageID)
	}
	_, err = o.uploads.Open(t.Context(), f.ID, f.SHA256)
	require.ErrorIs(t, err, fs.ErrNotExist, "the upload is taken")

	// The same again is the same message, and another one does not get the files.
	again, created, err := o.Send(t.Context(), o.ana, c)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, m.ID, again.ID)
	_, _, err = o.Send(t.Context(), o.ana, o.with("", f.ID))
	require.ErrorIs(t, err, omni.ErrInvalid)
	require.ErrorContains(t, err, `"me.png" was sent already`)

	// A picture alone is an image, and needs no text.
	other := o.upload(o.ana, "", "", photo)
	m, _, err = o.Send(t.Context(), o.ana, o.with(" \n", other.ID))
	require.NoError(t, err)
	require.Equal(t, omni.PayloadImage, m.Payload.Type)
	require.Nil(t, m.Payload.Text)
}

// An upload is the header of a template: checked as it is taken, where messages' files are before it goes out, and once.
func TestAnUploadIsTheHeaderOfATemplate(t *testing.T) {
	t.Parallel()
	up, err := folder.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, up.Close()) })
	o := &outgoing{uploads: up}
	o.system = withTemplates(t, withMedia(t, &o.media), func(p *pipeline.Options) {
		p.Uploads = up
		p.FileURL = func(m omni.ServiceMessage, f omni.MediaReference) string {
			return "https://gw.example.test/m/" + m.ID + "." + f.ID
		}
	})
	carries := able
	carries.Templates, carries.MediaTypes = true, []string{"image/png", "application/pdf"}
	o.carries(carries)
	o.sync()
	o.run()
	reminder := o.template("reminder")
	with := func(parameters ...wire.TemplateParameter) wire.SendMessage {
		pl := filledTemplate(reminder.ID, "Ana")
		pl.Template.Components = append(pl.Template.Components, wire.TemplateComponent{Type: "header", Parameters: parameters})
		return wire.SendMessage{ChannelID: o.sms.ID, To: "+14155550123", ClientID: omni.NewID(), Payload: pl}
	}
	image := func(f omni.MediaFile) wire.TemplateParameter {
		return wire.TemplateParameter{Type: "image", FileID: f.ID}
	}
	photo := pngFile(t)
	f := o.upload(o.ana, "map.png", "image/png", photo)
	paper := o.upload(o.ana, "paper.pdf", "application/pdf", []byte("%PDF-1.7\n1 0 obj"))
	plain := o.upload(o.ana, "a.txt", "", []byte("text"))
	theirs := o.upload(o.ben, "their.png", "image/png", photo)
	elsewhere := with(image(f))
	elsewhere.Payload.Template.Components[1].Type = "body"
	both := image(f)
	both.URL = "https://files.example.test/a.png"
	for name, c := range map[string]struct {
		message wire.SendMessage
		field   string
		want    string
	}{
		"another kind":      {with(image(paper)), "header", `needs one image; "paper.pdf" is application/pdf`},
		"not carried":       {with(wire.TemplateParameter{Type: "document", FileID: plain.ID}), "header", `"a.txt" is text/plain, which this channel does not carry; it carries image/png, application/pdf`},
		"somebody else's":   {with(image(theirs)), "header", "there is no such file; upload it first"},
		"no id":             {with(wire.TemplateParameter{Type: "image", FileID: "x"}), "header", "there is no such file; upload it first"},
		"beside an address": {with(both), "header", "must have one file: an upload fills a header, and no address stands beside it"},
		"two":               {with(image(f), image(theirs)), "header", "must have one file: an upload fills a header, and no address stands beside it"},
		"not in a header":   {elsewhere, "body", "must have one file: an upload fills a header, and no address stands beside it"},
	} {
		_, _, err := o.Send(t.Context(), o.ana, c.message)
		var problem *omni.Problem
		require.ErrorAs(t, err, &problem, name)
		require.Equal(t, map[string]string{"payload.template." + c.field: c.want}, problem.Fields, name)
	}

	c := with(image(f))
	m, created, err := o.Send(t.Context(), o.ana, c)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, []wire.File{{ID: f.ID, Type: f.Type, ContentType: "image/png", Size: f.Size, Name: "map.png", State: omni.MediaReady}}, wire.NewMessage(m).Payload.Files)
	require.Equal(t, m.ID, o.record(f.ID).MessageID)
	o.eventually(func() bool { return len(o.carrier.sends()) == 1 }, "the carrier gets it")
	got := o.carrier.sends()[0].Payload.Template.Files()
	require.Len(t, got, 1)
	require.Equal(t, "https://gw.example.test/m/"+m.ID+"."+f.ID, got[0].External.URL)
	require.Equal(t, photo, content(t, o.media, o.tenant.OrganisationID, got[0].SHA256))
	require.Equal(t, f.ID, pipeline.FilesOf(m)[0].ID)
	again, created, err := o.Send(t.Context(), o.ana, c)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, m.ID, again.ID)
	_, _, err = o.Send(t.Context(), o.ana, with(image(f)))
	require.ErrorContains(t, err, `"map.png" was sent already; upload it again`)
}

func TestSendSaysWhatIsWrongWithFiles(t *testing.T) {
	t.Parallel()
	o := sends(t)
	small := pngFile(t)
	text := func(n int) []byte { return []byte(strings.Repeat("a b\n", n/4)) }
	for name, c := range map[string]struct {
		able  func(*omni.Capabilities)
		text  string
		files []omni.MediaFile
		field string
		want  string
	}{
		"no files here":     {func(a *omni.Capabilities) { a.MediaTypes = nil }, "", []omni.MediaFile{o.upload(o.ana, "a.png", "", small)}, "payload.files", "cannot be sent on this channel"},
		"another type":      {func(a *omni.Capabilities) { a.MediaTypes = []string{"image/jpeg", "video/*"} }, "", []omni.MediaFile{o.upload(o.ana, "a.png", "", small)}, "payload.files", `"a.png" is image/png, which this channel does not carry; it carries image/jpeg, video/*`},
		"too large":         {func(a *omni.Capabilities) { a.MaxMediaBytes = 64 << 10 }, "", []omni.MediaFile{o.upload(o.ana, "a.txt", "", text(65<<10))}, "payload.files", `"a.txt" has 65 kB; on this channel a file of its kind has at most 64 kB`},
		"one byte too many": {func(a *omni.Capabilities) { a.MaxMediaBytes = 1 << 20 }, "", []omni.MediaFile{o.upload(o.ana, "a.txt", "", append(text(1<<20), 'x'))}, "payload.files", `"a.txt" has 1025 kB; on this channel a file of its kind has at most 1 MB`},
		"limit of its kind": {func(a *omni.Capabilities) {
			a.MediaLimits = []omni.MediaLimit{{Types: []string{"image/*"}, MaxBytes: 10}, {Types: []string{"text/*"}, MaxBytes: 1 << 20}, {Types: []string{"text/plain"}, MaxBytes: 20}, {Types: []string{"text/*"}, MaxBytes: 2 << 20}}
		}, "", []omni.MediaFile{o.upload(o.ana, "", "", text(24))}, "payload.files", "a file has 24 bytes; on this channel a file of its kind has at most 20 bytes"},
		"too many":          {func(a *omni.Capabilities) { a.MaxMediaCount = 1 }, "", []omni.MediaFile{o.upload(o.ana, "", "", small), o.upload(o.ana, "", "", small)}, "payload.files", "must be at most 1 on this channel"},
		"too much together": {func(a *omni.Capabilities) { a.TotalMediaBytes = 40 }, "", []omni.MediaFile{o.upload(o.ana, "", "", text(24)), o.upload(o.ana, "", "", text(24))}, "payload.files", "have 48 bytes together; on this channel at most 40 bytes"},
		"no captions":       {func(a *omni.Capabilities) { a.Captions = false }, "look", []omni.MediaFile{o.upload(o.ana, "", "", small)}, "payload.text", "cannot stand beside files"},
		"a long caption":    {func(a *omni.Capabilities) { a.MaxCaptionLength = 3 }, "look", []omni.MediaFile{o.upload(o.ana, "", "", small)}, "payload.text", "must be at most 3 characters beside files"},
		"a long text":       {func(a *omni.Capabilities) { a.MaxTextLength = 3 }, "look", []omni.MediaFile{o.upload(o.ana, "", "", small)}, "payload.text", "must be at most 3 characters"},
	} {
		a := able
		a.MaxMediaBytes = 5 << 20
		c.able(&a)
		o.carries(a)
		var ids []string
		for _, f := range c.files {
			ids = append(ids, f.ID)
		}
		_, _, err := o.Send(t.Context(), o.ana, o.with(c.text, ids...))
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, c.field, problemField(err), name)
		o.carries(able)
		if c.text == "" && name != "one byte too many" {
			_, _, err = o.Send(t.Context(), o.ana, o.with("", ids...))
			require.NoError(t, err, "%s: the files are still there for a channel that takes them", name)
		}
	}
	o.carries(able)

	mine, bens := o.upload(o.ana, "mine", "", small), o.upload(o.ben, "bens", "", small)
	stranger := pipeline.Actor{Tenant: omni.Tenant{OrganisationID: omni.NewID(), UserID: o.ana.Tenant.UserID}}
	require.NoError(t, o.store.CreateOrganisation(t.Context(), omni.Organisation{ID: stranger.Tenant.OrganisationID, Name: "Other", Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema}))
	theirs := o.upload(stranger, "theirs", "", small)
	many := make([]string, pipeline.MaxFiles+1)
	for name, c := range map[string]struct {
		ids  []string
		want string
	}{
		"of nobody":                 {[]string{omni.NewID()}, "there is no such file"},
		"no id":                     {[]string{"x"}, "there is no such file"},
		"of another agent":          {[]string{mine.ID, bens.ID}, "there is no such file"},
		"of another organisation's": {[]string{theirs.ID}, "there is no such file"},
		"twice":                     {[]string{mine.ID, mine.ID}, "must differ"},
		"far too many":              {many, "must be at most 30"},
	} {
		_, _, err := o.Send(t.Context(), o.ana, o.with("", c.ids...))
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, _, err := o.VisitorSend(t.Context(), omni.Visitor{ID: omni.NewToken(16), OrganisationID: o.tenant.OrganisationID, DigitalChannelID: o.chat.ID}, o.with("x", mine.ID))
	require.ErrorContains(t, err, "there is no such file", "an agent's is not a visitor's")
}

func TestSec_M3_UploadsAreLookedAt(t *testing.T) {
	t.Parallel()
	o := sends(t)
	for name, c := range map[string]struct {
		typ  string
		body io.Reader
		want string
	}{
		"HTML":               {"text/html", strings.NewReader("<!doctype html><script>alert(1)</script>"), "Files of this kind are not sent"},
		"HTML as a picture":  {"image/png", strings.NewReader("<html><body>x"), "Files of this kind are not sent"},
		"SVG":                {"image/svg+xml", strings.NewReader(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`), "Files of this kind are not sent"},
		"XML":                {"", strings.NewReader(`<?xml version="1.0"?><a/>`), "Files of this kind are not sent"},
		"a program":          {"application/pdf", strings.NewReader("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 64)), "Files of this kind are not sent"},
		"a script":           {"text/plain", strings.NewReader("#!/bin/sh\nrm -rf /\n"), ""},
		"PDF as a picture":   {"image/jpeg", strings.NewReader("%PDF-1.7\n"), "is not what it was said to be"},
		"a picture as paper": {"application/pdf", bytes.NewReader(pngFile(t)), "is not what it was said to be"},
		"a huge picture":     {"image/png", bytes.NewReader(hugePNG(50_000, 50_000)), "more than 40 million pixels"},
		"nothing":            {"image/png", strings.NewReader(""), "is empty"},
		"too much":           {"text/plain", io.LimitReader(endless{}, pipeline.MaxFile+1), "larger than 25 MB"},
		"cut off":            {"text/plain", io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(io.ErrUnexpectedEOF)), "ended early"},
		"cut off later":      {"text/plain", io.MultiReader(io.LimitReader(endless{}, 1<<20), iotest.ErrReader(io.ErrUnexpectedEOF)), "ended early"},
	} {
		f, err := o.Upload(t.Context(), o.ana, pipeline.Upload{Name: "x", ContentType: c.typ, Body: c.body})
		if c.want == "" {
			require.NotEqual(t, omni.MediaImage, f.Type, name)
			continue
		}
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, "file", problemField(err), name)
		require.Equal(t, strings.HasPrefix(name, "too much"), errors.Is(err, pipeline.ErrFileTooLarge), name)
	}
	most := o.upload(o.ana, "most", "text/plain", bytes.Repeat([]byte("a"), pipeline.MaxFile))
	require.EqualValues(t, pipeline.MaxFile, most.Size)

	for name, want := range map[string]string{
		"../../etc/passwd": "passwd", `..\x.png`: "x.png", "a\u202egpj.exe": "agpj.exe", "two\nlines": "two lines", "": "",
		strings.Repeat("ä", 190) + ".png": strings.Repeat("ä", 125) + ".png",
	} {
		require.Equal(t, want, o.upload(o.ana, name, "", pngFile(t)).FileName)
	}
	require.Equal(t, "audio/mp4", o.upload(o.ana, "a.m4a", "audio/mp4", []byte("\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00M4A mp42isom\x00\x00\x00\x00")).ContentType, "as carriers call it")

	without := newSystem(t)
	_, err := without.Upload(t.Context(), without.ana, pipeline.Upload{Body: strings.NewReader("x")})
	require.ErrorIs(t, err, omni.ErrUnavailable)
	_, _, err = without.Send(t.Context(), without.ana, wire.SendMessage{
		ChannelID: without.sms.ID, To: "+14155550123", ClientID: omni.NewID(), Payload: wire.SendPayload{Files: []string{omni.NewID()}},
	})
	require.ErrorIs(t, err, omni.ErrUnavailable)
}

type endless struct{}

var lines = bytes.Repeat([]byte("line\n"), 100_000)

func (endless) Read(b []byte) (int, error) {
	return copy(b, lines), nil
}

// cutStore fails once where a crash would end the program.
type cutStore struct {
	store.Store

	cut func(method string) bool
}

func (s *cutStore) MediaFiles() store.Records[omni.MediaFile] {
	return cutFiles{s.Store.MediaFiles(), s.cut}
}

func (s *cutStore) AppendMessage(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (store.Appended, error) {
	if s.cut("append") {
		return store.Appended{}, omni.ErrUnavailable
	}
	return s.Store.AppendMessage(ctx, t, m)
}

type cutFiles struct {
	store.Records[omni.MediaFile]

	cut func(method string) bool
}

func (f cutFiles) Update(ctx context.Context, t omni.Tenant, r omni.MediaFile) (omni.MediaFile, error) {
	if f.cut("update") {
		return r, omni.ErrUnavailable
	}
	return f.Records.Update(ctx, t, r)
}

func TestNothingIsLostBetweenUploadAndSend(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"append", "update"} {
		o := sends(t)
		f := o.upload(o.ana, "a.png", "", pngFile(t))
		c := o.with("look", f.ID)

		cut := true
		st := &cutStore{o.store, func(method string) bool { was := cut && method == where; cut = cut && !was; return was }}
		dying, err := pipeline.New(st, o.reg, o.keys, o.pub, o.options)
		require.NoError(t, err)
		_, _, err = dying.Send(t.Context(), o.ana, c)
		require.Equal(t, where == "append", err != nil, where)
		require.False(t, cut)
		require.Empty(t, o.record(f.ID).MessageID, "it was not noted that the file is taken")

		m, created, err := o.Send(t.Context(), o.ana, c)
		require.NoError(t, err, where)
		require.Equal(t, where == "append", created)
		require.Equal(t, m.ID, o.record(f.ID).MessageID)
		o.eventually(func() bool { return len(o.carrier.sends()) == 1 }, "the carrier gets it once")
		require.Equal(t, pngFile(t), content(t, o.media, o.tenant.OrganisationID, m.Payload.Files()[0].SHA256))
		require.Len(t, o.messages(o.talk.ID), 2)
	}
}

func TestUploadsThatNobodySendsAreSwept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := sends(t, func(p *pipeline.Options) { p.Now = func() time.Time { return now } })
	o.stop() // its clock is ours from here on
	left, sent := o.upload(o.ana, "left.png", "", pngFile(t)), o.upload(o.ana, "sent.png", "", pngFile(t))
	m, _, err := o.Send(t.Context(), o.ana, o.with("", sent.ID))
	require.NoError(t, err)
	sweep := func() { // every start does
		p, err := pipeline.New(o.store, o.reg, o.keys, o.pub, o.options)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		later := o.upload(o.ana, "later.png", "", pngFile(t))
		o.eventually(func() bool {
			_, old := o.store.MediaFiles().Get(t.Context(), o.tenant, left.ID)
			return errors.Is(old, omni.ErrNotFound)
		}, "it is swept")
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, "later.png", o.record(later.ID).FileName)
	}
	now = now.Add(pipeline.UploadKept + time.Minute)
	_, _, err = o.Send(t.Context(), o.ana, o.with("", left.ID))
	require.ErrorContains(t, err, `"left.png" was uploaded more than a day ago`)
	now = now.Add(time.Hour)
	sweep()
	_, err = o.uploads.Open(t.Context(), left.ID, left.SHA256)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = o.Send(t.Context(), o.ana, o.with("", left.ID))
	require.ErrorContains(t, err, "there is no such file")
	require.Equal(t, m.ID, o.record(sent.ID).MessageID)
	require.Equal(t, pngFile(t), content(t, o.media, o.tenant.OrganisationID, sent.SHA256), "a message's file stays, though another upload was the same")
}

func TestAnUploadThatIsLostIsAskedForAgain(t *testing.T) {
	t.Parallel()
	o := sends(t)
	f := o.upload(o.ana, "a.png", "", pngFile(t))
	require.NoError(t, o.uploads.Remove(t.Context(), f.ID, f.SHA256))
	_, _, err := o.Send(t.Context(), o.ana, o.with("", f.ID))
	require.ErrorIs(t, err, omni.ErrInvalid)
	require.ErrorContains(t, err, `"a.png" is not here any more; upload it again`)
}

func TestRetryLooksAtTheFilesAgain(t *testing.T) {
	t.Parallel()
	o := sends(t)
	o.carrier.mu.Lock()
	o.carrier.answers = []error{&carriers.SendError{Reason: omni.ReasonRejected}}
	o.carrier.mu.Unlock()
	m, _, err := o.Send(t.Context(), o.ana, o.with("", o.upload(o.ana, "a.png", "", pngFile(t)).ID))
	require.NoError(t, err)
	o.eventually(func() bool { return o.message(m.ID).Status == omni.StatusFailed }, "it fails")
	none := able
	none.MediaTypes = nil
	o.carries(none)
	_, err = o.Retry(t.Context(), o.ana, wire.RetryMessage{MessageID: m.ID})
	require.ErrorContains(t, err, "cannot be sent on this channel")
	o.carries(able)
	_, err = o.Retry(t.Context(), o.ana, wire.RetryMessage{MessageID: m.ID})
	require.NoError(t, err)
	o.eventually(func() bool { return o.message(m.ID).Status == omni.StatusSent }, "it is sent again")
	all := o.carrier.sends()
	require.Len(t, all, 2)
	require.NotEmpty(t, all[1].Payload.Files()[0].External.URL)
}

func TestCarriersCanReadTheFilesOfTheirOrganisation(t *testing.T) {
	t.Parallel()
	o := sends(t)
	f := o.upload(o.ana, "a.png", "", pngFile(t))
	m, _, err := o.Send(t.Context(), o.ana, o.with("", f.ID))
	require.NoError(t, err)
	o.carrier.mu.Lock()
	openFile := o.carrier.options.OpenFile
	o.carrier.mu.Unlock()
	r, err := openFile(t.Context(), m.Payload.Files()[0])
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, errors.Join(err, r.Close()))
	require.Equal(t, pngFile(t), b)
	_, err = openFile(t.Context(), omni.MediaReference{SHA256: strings.Repeat("0", 64)})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestVisitorsGetFiles(t *testing.T) {
	t.Parallel()
	o := sends(t)
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: o.tenant.OrganisationID, DigitalChannelID: o.chat.ID}
	in, _, err := o.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"}})
	require.NoError(t, err)
	f := o.upload(o.ana, "a.png", "", pngFile(t))
	m, _, err := o.Send(t.Context(), o.ana, wire.SendMessage{InteractionID: in.InteractionID, ClientID: omni.NewID(), Payload: wire.SendPayload{Files: []string{f.ID}}})
	require.NoError(t, err)
	require.Equal(t, omni.ChannelLiveChat, m.Channel.ChannelType)
	require.Equal(t, omni.StatusSent, m.Status)
	require.Equal(t, []wire.File{{ID: f.ID, Type: omni.MediaImage, ContentType: "image/png", Size: f.Size, Name: "a.png", State: omni.MediaReady}}, o.VisitorView(t.Context(), m).Payload.Files)
}

func TestVisitorsSendFiles(t *testing.T) {
	t.Parallel()
	o := sends(t)
	visitor := func() omni.Visitor {
		return omni.Visitor{ID: omni.NewToken(16), OrganisationID: o.tenant.OrganisationID, DigitalChannelID: o.chat.ID}
	}
	v, other := visitor(), visitor()
	upload := func(v omni.Visitor) (omni.MediaFile, error) {
		return o.VisitorUpload(t.Context(), v, pipeline.Upload{Name: "a.png", Body: bytes.NewReader(pngFile(t))})
	}
	f, err := upload(v)
	require.NoError(t, err)
	c := wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Files: []string{f.ID}}}
	_, _, err = o.VisitorSend(t.Context(), other, c)
	require.ErrorContains(t, err, "there is no such file")
	m, created, err := o.VisitorSend(t.Context(), v, c)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, omni.Inbound, m.Direction)
	require.Equal(t, omni.PayloadImage, m.Payload.Type)
	require.Equal(t, omni.MediaReady, m.Payload.Files()[0].State)
	require.Equal(t, pngFile(t), content(t, o.media, o.tenant.OrganisationID, f.SHA256))
	again, created, err := o.VisitorSend(t.Context(), v, c)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, m.ID, again.ID)
	gone := visitor()
	gone.DigitalChannelID = omni.NewID()
	_, err = upload(gone)
	require.ErrorIs(t, err, omni.ErrForbidden)
}
