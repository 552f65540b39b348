package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// Uploads keeps files from their upload until a message takes them, each by itself under its id.
type Uploads interface {
	Media

	// Remove removes a file. One that is not there is no error.
	Remove(ctx context.Context, id, sha256 string) error
	// RemoveBefore removes what was put before a moment, and returns how many files that were.
	RemoveBefore(ctx context.Context, before time.Time) (int, error)
}

// Limits of files that are sent.
const (
	// UploadKept is how long a file waits for a message that takes it.
	UploadKept = 24 * time.Hour
	// MaxFiles is how many files a message has at most, whatever its channel carries.
	MaxFiles = 30
)

// ErrFileTooLarge is in the chain of an upload that is larger than MaxFile.
var ErrFileTooLarge = fmt.Errorf("the file is larger than 25 MB: %w", omni.ErrInvalid)

// errNoFolder is the answer of a gateway that keeps no files.
var errNoFolder = fmt.Errorf("this gateway keeps no files: %w", omni.ErrUnavailable)

// Upload is a file that somebody wants to send.
type Upload struct {
	Name        string // hostile text
	ContentType string // as claimed; "" for none
	Body        io.Reader
}

// Upload looks at a file and keeps it until a message of the same actor takes it, or UploadKept has passed. What is wrong
// with the file is omni.ErrInvalid.
func (p *Pipeline) Upload(ctx context.Context, a Actor, u Upload) (omni.MediaFile, error) {
	if p.o.Media == nil || p.o.Uploads == nil {
		return omni.MediaFile{}, errNoFolder
	}
	body := &upload{r: u.Body, left: MaxFile}
	head := make([]byte, fileHead)
	n, _ := io.ReadFull(body, head) // a short file is no error
	if err := body.problem(); err != nil {
		return omni.MediaFile{}, err
	}
	head = head[:n]
	found, err := inspect(omni.MediaReference{Type: omni.MediaTypeOf(u.ContentType), ContentType: u.ContentType, FileName: u.Name}, head)
	if err != nil {
		return omni.MediaFile{}, notSent(err)
	}
	f := omni.MediaFile{
		ID: omni.NewIDAt(p.now()), Tenant: a.Tenant, Type: found.Type, ContentType: plainType(found.ContentType),
		FileName: fileName(found.FileName), Version: 1, CreatedAt: p.millis(), SchemaVersion: omni.CurrentSchema,
	}
	f.SHA256, f.Size, err = p.o.Uploads.Put(ctx, f.ID, io.MultiReader(bytes.NewReader(head), body))
	if told := body.problem(); told != nil {
		return omni.MediaFile{}, told
	}
	if err != nil {
		return omni.MediaFile{}, fmt.Errorf("keep file: %w", err)
	}
	if err := f.Validate(); err != nil {
		return omni.MediaFile{}, err
	}
	if err := p.store.MediaFiles().Create(ctx, a.Tenant, f); err != nil {
		return omni.MediaFile{}, fmt.Errorf("create file %s: %w", f.ID, err)
	}
	return f, nil
}

// upload is the body of an upload: it ends with an error after its last byte that is taken, and remembers why it ended early.
type upload struct {
	r    io.Reader
	left int64
	err  error
}

// Read implements io.Reader.
func (u *upload) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	if u.left -= int64(n); u.left < 0 {
		err = ErrFileTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}

// problem is what is wrong with what was read so far.
func (u *upload) problem() error {
	switch {
	case u.err == nil:
		return nil
	case errors.Is(u.err, ErrFileTooLarge):
		return fileProblem(ErrFileTooLarge, "The file is larger than 25 MB.")
	default:
		return fileProblem(fmt.Errorf("%w: %w", omni.ErrInvalid, u.err), "The upload ended early. Try again.")
	}
}

// notSent says why a file is not taken.
func notSent(err error) error {
	why, ok := errors.AsType[*fileError](err)
	switch {
	case !ok:
		return err
	case why.words == notShown:
		return fileProblem(omni.ErrInvalid, "Files of this kind are not sent. Pictures (JPEG, PNG, GIF, WebP), recordings, films, PDF, text, contact cards and office documents are.")
	default:
		return fileProblem(omni.ErrInvalid, why.words)
	}
}

func fileProblem(kind error, text string) error {
	p := omni.Problemf(kind, "%s", text)
	p.Fields = map[string]string{"file": text}
	return p
}

// plainTypes are the names that carriers know of types that are found under another.
var plainTypes = map[string]string{"audio/x-m4a": "audio/mp4", "application/ogg": "audio/ogg", "video/x-m4v": "video/mp4"}

func plainType(found string) string {
	if plain, ok := plainTypes[found]; ok {
		return plain
	}
	return found
}

// fileName makes a label fit for a record without losing its ending.
func fileName(name string) string {
	const most = 255 // bytes
	if len(name) <= most {
		return name
	}
	end := ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 && len(name)-dot <= 10 {
		name, end = name[:dot], name[dot:]
	}
	return strings.ToValidUTF8(name[:min(len(name), most-len(end))], "") + end
}

// filesPayload makes the payload of a message that has files: text alone if it has none. What is wrong with one, or with them for the channel, is omni.ErrInvalid.
func (p *Pipeline) filesPayload(ctx context.Context, a Actor, ch omni.DigitalChannel, c wire.SendMessage) (omni.MessagePayload, []omni.MediaFile, error) {
	text := c.Payload.Text
	if len(c.Payload.Files) == 0 {
		return omni.TextPayload(text), nil, nil
	}
	const at = payloadFiles
	if len(c.Payload.Files) > MaxFiles {
		return omni.MessagePayload{}, nil, fieldProblem(at, fmt.Sprintf("must be at most %d", MaxFiles))
	}
	files, err := p.uploaded(ctx, a, c.ClientID, at, c.Payload.Files)
	if err != nil {
		return omni.MessagePayload{}, nil, err
	}
	refs := make([]omni.MediaReference, 0, len(files))
	for _, f := range files {
		refs = append(refs, reference(f))
	}
	if err := filesFit(capabilities(ch), at, text, refs); err != nil {
		return omni.MessagePayload{}, nil, err
	}
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	return omni.NewPayload(text, refs), files, nil
}

// reference is an upload as a message has it.
func reference(f omni.MediaFile) omni.MediaReference {
	return omni.MediaReference{
		ID: f.ID, Type: f.Type, ContentType: f.ContentType, Size: f.Size, FileName: f.FileName, SHA256: f.SHA256, State: omni.MediaReady,
	}
}

// capabilities is what a channel carries. What our own widget does is not the record's to say: an older one does not know.
func capabilities(ch omni.DigitalChannel) omni.Capabilities {
	if ch.ChannelType == omni.ChannelLiveChat {
		return LiveChatCapabilities()
	}
	return ch.Capabilities
}

// payloadFiles is the field that names the files of a message.
const payloadFiles = "payload.files"

const noSuchFile = "there is no such file; upload it first"

// uploaded finds files that the actor uploaded and no message has, or only the one with clientID. What is wrong is said of the
// field at.
func (p *Pipeline) uploaded(ctx context.Context, a Actor, clientID, at string, ids []string) ([]omni.MediaFile, error) {
	if p.o.Media == nil || p.o.Uploads == nil {
		return nil, errNoFolder
	}
	files := make([]omni.MediaFile, 0, len(ids))
	for n, id := range ids {
		if slices.Contains(ids[:n], id) {
			return nil, fieldProblem(at, "must differ from each other")
		}
		if !omni.ValidID(id) {
			return nil, fieldProblem(at, noSuchFile)
		}
		f, err := p.store.MediaFiles().Get(ctx, a.Tenant, id)
		if errors.Is(err, omni.ErrNotFound) || err == nil && f.Tenant.UserID != a.Tenant.UserID {
			return nil, fieldProblem(at, noSuchFile)
		}
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", id, err)
		}
		if f.MessageID == "" && p.millis() > f.CreatedAt.Add(UploadKept) {
			return nil, fieldProblem(at, fmt.Sprintf("%s was uploaded more than a day ago; upload it again", quoted(f.FileName)))
		}
		if f.MessageID != "" {
			m, err := p.store.Message(ctx, a.Tenant, f.MessageID)
			if errors.Is(err, omni.ErrNotFound) || err == nil && m.ClientID != clientID {
				return nil, fieldProblem(at, fmt.Sprintf("%s was sent already; upload it again", quoted(f.FileName)))
			}
			if err != nil {
				return nil, fmt.Errorf("message of file %s: %w", id, err)
			}
		}
		files = append(files, f)
	}
	return files, nil
}

func quoted(name string) string {
	if name == "" {
		return "a file"
	}
	return `"` + clip(name) + `"`
}

// settleUploads copies uploads to where the files of messages are. From then on it does not matter what becomes of the uploads.
// What is wrong is said of the field at.
func (p *Pipeline) settleUploads(ctx context.Context, at string, files []omni.MediaFile) error {
	for _, f := range files {
		if err := p.settleUpload(ctx, at, f); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) settleUpload(ctx context.Context, at string, f omni.MediaFile) error {
	org := f.Tenant.OrganisationID
	there, err := p.o.Media.Open(ctx, org, f.SHA256)
	if err == nil {
		return there.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("file %s: %w", f.ID, err)
	}
	r, err := p.o.Uploads.Open(ctx, f.ID, f.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		p.log.ErrorContext(ctx, "an uploaded file is lost", "org_id", org)
		return fieldProblem(at, fmt.Sprintf("%s is not here any more; upload it again", quoted(f.FileName)))
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", f.ID, err)
	}
	sum, _, err := p.o.Media.Put(ctx, org, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("keep file %s: %w", f.ID, err)
	}
	if sum != f.SHA256 {
		return fmt.Errorf("file %s is not what was uploaded", f.ID)
	}
	return nil
}

// took notes that a message has its files: nobody else gets them, and they are not swept as waiting. A failure costs nothing but
// that: the message has all that it needs.
func (p *Pipeline) took(ctx context.Context, m omni.ServiceMessage, files []omni.MediaFile) {
	ctx = context.WithoutCancel(ctx)
	for _, f := range files {
		if f.MessageID == "" {
			f.MessageID = m.ID
			_, err := p.store.MediaFiles().Update(ctx, m.Tenant, f)
			if err != nil && !errors.Is(err, omni.ErrConflict) {
				p.log.WarnContext(ctx, "a message's file is kept as waiting", "org_id", m.Tenant.OrganisationID, "message_id", m.ID, "err", err)
				continue
			}
		}
		if err := p.o.Uploads.Remove(ctx, f.ID, f.SHA256); err != nil {
			p.log.WarnContext(ctx, "an upload stays", "org_id", m.Tenant.OrganisationID, "message_id", m.ID, "err", err)
		}
	}
}

// filesFit says of the field at why files, and the text beside them, do not go by a channel.
func filesFit(able omni.Capabilities, at, text string, files []omni.MediaReference) error {
	if len(files) == 0 {
		return nil
	}
	wrong := func(format string, a ...any) error { return fieldProblem(at, fmt.Sprintf(format, a...)) }
	if len(able.MediaTypes) == 0 {
		return wrong("cannot be sent on this channel")
	}
	if able.MaxMediaCount > 0 && len(files) > able.MaxMediaCount {
		return wrong("must be at most %d on this channel", able.MaxMediaCount)
	}
	var total int64
	for _, f := range files {
		if !matches(able.MediaTypes, f.ContentType) {
			return wrong("%s is %s, which this channel does not carry; it carries %s", quoted(f.FileName), f.ContentType, strings.Join(able.MediaTypes, ", "))
		}
		if most := mostBytes(able, f.ContentType); most > 0 && f.Size > most {
			return wrong("%s has %s; on this channel a file of its kind has at most %s", quoted(f.FileName), megabytes(f.Size), megabytes(most))
		}
		total += f.Size
	}
	if able.TotalMediaBytes > 0 && total > able.TotalMediaBytes {
		return wrong("have %s together; on this channel at most %s", megabytes(total), megabytes(able.TotalMediaBytes))
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if !able.Captions {
		return fieldProblem("payload.text", "cannot stand beside files on this channel; send it by itself")
	}
	if n := len(utf16.Encode([]rune(text))); able.MaxCaptionLength > 0 && n > able.MaxCaptionLength {
		return fieldProblem("payload.text", fmt.Sprintf("must be at most %d characters beside files on this channel", able.MaxCaptionLength))
	}
	return nil
}

// matches reports whether a content type is one of types, of which "image/*" stands for all images.
func matches(types []string, contentType string) bool {
	major, _, _ := strings.Cut(contentType, "/")
	return slices.ContainsFunc(types, func(t string) bool {
		return strings.EqualFold(t, contentType) || strings.EqualFold(t, major+"/*") || t == "*/*"
	})
}

// mostBytes is the largest file of a type; 0: any. Of limits that fit, one that names the type itself counts.
func mostBytes(able omni.Capabilities, contentType string) int64 {
	most, exact := able.MaxMediaBytes, false
	for _, l := range able.MediaLimits {
		named := slices.ContainsFunc(l.Types, func(t string) bool { return strings.EqualFold(t, contentType) })
		if named || !exact && matches(l.Types, contentType) {
			most, exact = l.MaxBytes, named
		}
	}
	return most
}

// megabytes writes a size as people count it, so that a limit and what is just over it never look the same.
func megabytes(n int64) string {
	const kib, mib = 1 << 10, 1 << 20
	switch {
	case n%mib == 0:
		return fmt.Sprintf("%d MB", n/mib)
	case n >= 10*kib:
		return fmt.Sprintf("%d kB", (n+kib-1)/kib)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// carriedAs is the type of channel that a payload goes out by.
func carriedAs(ch omni.DigitalChannel, payload omni.MessagePayload) omni.ChannelType {
	if ch.ChannelType == omni.ChannelSMS && len(payload.Files()) > 0 {
		return omni.ChannelMMS
	}
	return ch.ChannelType
}

// withAddresses is a message as its carrier gets it: its files have addresses that the carrier can fetch them from. They are
// made for each try and kept nowhere.
func (p *Pipeline) withAddresses(m omni.ServiceMessage) omni.ServiceMessage {
	if p.o.FileURL == nil {
		return m
	}
	give := func(f omni.MediaReference) omni.MediaReference {
		if f.State == omni.MediaReady && f.ID != "" {
			f.External.URL = p.o.FileURL(m, f)
		}
		return f
	}
	giveAt := func(f *omni.MediaReference) *omni.MediaReference {
		if f == nil {
			return nil
		}
		given := give(*f)
		return &given
	}
	pl := &m.Payload
	if pl.Image != nil {
		pl.Image = &omni.ImageMessage{References: slices.Clone(pl.Image.References)}
		for n, f := range pl.Image.References {
			pl.Image.References[n] = give(f)
		}
	}
	pl.Media = slices.Clone(pl.Media)
	for n := range pl.Media {
		pl.Media[n].Reference = give(pl.Media[n].Reference)
	}
	if pl.Interactive != nil {
		i := *pl.Interactive
		i.HeaderFile = giveAt(i.HeaderFile)
		pl.Interactive = &i
	}
	if pl.Template != nil {
		t := *pl.Template
		t.Components = slices.Clone(t.Components)
		for n := range t.Components {
			t.Components[n].Parameters = slices.Clone(t.Components[n].Parameters)
			for k := range t.Components[n].Parameters {
				t.Components[n].Parameters[k].File = giveAt(t.Components[n].Parameters[k].File)
			}
		}
		pl.Template = &t
	}
	return m
}

// FilesOf lists all files of a message that are ours to give, those in templates and headers too.
func FilesOf(m omni.ServiceMessage) []omni.MediaReference {
	files := m.Payload.Files()
	if i := m.Payload.Interactive; i != nil && i.HeaderFile != nil {
		files = append(files, *i.HeaderFile)
	}
	if t := m.Payload.Template; t != nil {
		files = append(files, t.Files()...)
	}
	return files
}

// openFile gives carriers the files of an organisation's messages.
func (p *Pipeline) openFile(organisationID string) func(ctx context.Context, f omni.MediaReference) (io.ReadCloser, error) {
	if p.o.Media == nil {
		return nil
	}
	return func(ctx context.Context, f omni.MediaReference) (io.ReadCloser, error) {
		r, err := p.o.Media.Open(ctx, organisationID, f.SHA256)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, omni.Problemf(omni.ErrNotFound, "the file is not here")
		}
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", f.ID, err)
		}
		return r, nil
	}
}

// sweepUploads removes files that no message took within UploadKept. An hour more is left to those who are about to.
func (p *Pipeline) sweepUploads(ctx context.Context) error {
	if p.o.Uploads == nil {
		return nil
	}
	before := p.now().Add(-UploadKept - time.Hour)
	if _, err := p.o.Uploads.RemoveBefore(ctx, before); err != nil {
		return fmt.Errorf("remove uploads: %w", err)
	}
	orgs := store.Page{Limit: store.MaxPage}
	for {
		l, err := p.store.AllOrganisations(ctx, orgs)
		if err != nil {
			return fmt.Errorf("organisations: %w", err)
		}
		for _, o := range l.Items {
			if err := p.forgetUploads(ctx, omni.Org(o.ID), omni.MillisOf(before)); err != nil {
				return err
			}
		}
		if orgs.Cursor = l.Next; l.Next == "" {
			return nil
		}
	}
}

// forgetUploads removes the records of an organisation's uploads from before a moment.
func (p *Pipeline) forgetUploads(ctx context.Context, t omni.Tenant, before omni.Millis) error {
	page := store.Page{Limit: store.MaxPage}
	for {
		l, err := p.store.MediaFiles().List(ctx, t, "", page)
		if err != nil {
			return fmt.Errorf("uploads: %w", err)
		}
		for _, f := range l.Items {
			if f.CreatedAt >= before {
				return nil
			}
			if err := p.store.MediaFiles().Delete(ctx, t, f.ID); err != nil && !errors.Is(err, omni.ErrNotFound) {
				return fmt.Errorf("delete file %s: %w", f.ID, err)
			}
		}
		if page.Cursor = l.Next; l.Next == "" {
			return nil
		}
	}
}
