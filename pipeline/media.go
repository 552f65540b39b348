package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"image"
	_ "image/gif" // the pictures that browsers show
	_ "image/jpeg"
	_ "image/png"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gabriel-vasile/mimetype"
	_ "golang.org/x/image/webp" // as above

	"omniservice/carriers"
	"omniservice/internal/httpout"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// Media keeps the files of messages, each organisation's apart, named by their content.
type Media interface {
	// Put keeps what r gives until it ends and returns its SHA-256, as lower-case hex, and its size in bytes. If r
	// fails nothing is kept. The same content again is kept once.
	Put(ctx context.Context, organisationID string, r io.Reader) (sha256 string, size int64, err error)
	// Open opens a file of an organisation. One that is not there is fs.ErrNotExist.
	Open(ctx context.Context, organisationID, sha256 string) (io.ReadSeekCloser, error)
}

// Limits of a file that comes from outside (rules M1 and M3).
const (
	MaxFile      = 25 << 20         // bytes
	FetchTimeout = 10 * time.Second // the whole exchange, redirects included

	maxPixels   = 40_000_000
	maxFetches  = 5         // of one file; what fails as often is given up
	slowerFetch = 10        // a file is tried again so many times later than a message: carriers need a while to have it
	fileHead    = 512 << 10 // bytes that are looked at before a file is kept: cameras put as much before a picture's size
)

// fileTypes are the content types that are kept, as they are found in the content, and what they are for people.
// Whatever a browser could run as a page or a script of ours is not among them: SVG, HTML, XML.
var fileTypes = map[string]omni.MediaType{
	"image/jpeg": omni.MediaImage, "image/png": omni.MediaImage, "image/gif": omni.MediaImage, "image/webp": omni.MediaImage,

	"audio/mpeg": omni.MediaAudio, "audio/ogg": omni.MediaAudio, "application/ogg": omni.MediaAudio, "audio/amr": omni.MediaAudio,
	"audio/aac": omni.MediaAudio, "audio/mp4": omni.MediaAudio, "audio/x-m4a": omni.MediaAudio, "audio/wav": omni.MediaAudio,

	"video/mp4": omni.MediaVideo, "video/x-m4v": omni.MediaVideo, "video/3gpp": omni.MediaVideo,
	"video/quicktime": omni.MediaVideo, "video/ogg": omni.MediaVideo,

	"application/pdf": omni.MediaDocument, "text/vcard": omni.MediaDocument, "text/plain": omni.MediaDocument, "text/csv": omni.MediaDocument,
	"application/msword": omni.MediaDocument, "application/vnd.ms-excel": omni.MediaDocument, "application/vnd.ms-powerpoint": omni.MediaDocument,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   omni.MediaDocument,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         omni.MediaDocument,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": omni.MediaDocument,
	"application/vnd.oasis.opendocument.text":                                   omni.MediaDocument,
	"application/vnd.oasis.opendocument.spreadsheet":                            omni.MediaDocument,
	"application/vnd.oasis.opendocument.presentation":                           omni.MediaDocument,
}

// fileError is why a file cannot be had.
type fileError struct {
	words string // for an agent
	final bool   // trying again would not help
	err   error  // the cause, without the file's URL, which may be a secret; may be nil
}

func (e *fileError) Error() string {
	if e.err == nil {
		return e.words
	}
	return e.words + ": " + e.err.Error()
}

func (e *fileError) Unwrap() error { return e.err }

// drainMedia fetches the files that are due in a worker's partitions.
func (p *Pipeline) drainMedia(ctx context.Context, w *worker) (omni.Millis, error) {
	for p.mayGoOn(ctx, w) {
		items, err := p.store.PendingMedia(ctx, w.partitions, p.millis(), 32)
		if err != nil {
			return 0, err
		}
		if len(items) == 0 {
			break
		}
		var mu sync.Mutex
		var failed error
		eachConversation(ctx, items, func(i store.MediaItem) string { return fmt.Sprint(i.Message.ID, "/", i.Index) },
			func(ctx context.Context, i store.MediaItem) bool {
				if err := p.fetchItem(ctx, i); err != nil && ctx.Err() == nil {
					mu.Lock()
					failed = errors.Join(failed, fmt.Errorf("file %d of message %s: %w", i.Index, i.Message.ID, err))
					mu.Unlock()
				}
				return true
			})
		if failed != nil {
			return 0, failed
		}
	}
	return p.store.NextMedia(ctx, w.partitions)
}

// fetchItem tries once to get a file, stores what came of it, and tells clients if that is the end of it. An error is
// one of the store; the item stays as it is.
func (p *Pipeline) fetchItem(ctx context.Context, it store.MediaItem) error {
	select {
	case p.fetching <- struct{}{}:
		defer func() { <-p.fetching }()
	case <-ctx.Done():
		return ctx.Err()
	}
	m, ref := it.Message, it.Message.Payload.Files()[it.Index]
	ch, err := p.channel(ctx, m.Tenant, m.Channel.DigitalChannelID)
	switch {
	case err == nil:
		ref, err = p.fetch(ctx, m.Tenant, ch, ref)
	case errors.Is(err, omni.ErrNotFound):
		err = &fileError{words: "The channel of this message is gone.", final: true, err: err}
	default:
		return fmt.Errorf("channel: %w", err)
	}
	if ctx.Err() != nil {
		return ctx.Err() // it is not the file's fault
	}
	var again omni.Millis
	if err != nil {
		var why *fileError
		attempts := it.Attempts + 1
		if errors.As(err, &why) && (why.final || attempts >= maxFetches) {
			ref.State, ref.Failure = omni.MediaFailed, why.words
		} else {
			again = p.millis().Add(slowerFetch * p.backoff(attempts))
		}
		p.log.WarnContext(ctx, "file not fetched", "carrier", m.Channel.Carrier, "account_id", ch.CarrierAccountID,
			"org_id", m.Tenant.OrganisationID, "message_id", m.ID, "attempt", attempts, "reason", ref.State, "err", err)
	}

	defer p.order.lock(ch.CarrierAccountID, m.From.Address)()
	reactions, err := p.store.Reactions(ctx, m.Tenant, m.ID)
	if err != nil {
		return fmt.Errorf("reactions to message %s: %w", m.ID, err)
	}
	m, err = p.store.SetMedia(ctx, m.Tenant, m.ID, it.Index, ref, again)
	switch {
	case errors.Is(err, omni.ErrConflict) || errors.Is(err, omni.ErrNotFound):
		return nil // another node was quicker, or the message is gone
	case err != nil || ref.State == omni.MediaPending:
		return err
	}
	i, err := p.store.Interaction(ctx, m.Tenant, m.InteractionID)
	if err != nil {
		return fmt.Errorf("interaction of message %s: %w", m.ID, err)
	}
	typ := wire.MediaReady
	if ref.State == omni.MediaFailed {
		typ = wire.MediaFailed
	}
	home, view := p.homeTopic(ctx, i), wire.NewMessage(m)
	view.Reactions = wire.NewReactions(reactions)[m.ID]
	p.publish(ctx, home, typ, wire.FileChange{
		MessageID: m.ID, InteractionID: m.InteractionID, Index: it.Index, File: view.Payload.Files[it.Index],
	})
	p.publish(ctx, home, wire.MessageUpdated, view)
	return nil
}

// fetch gets a file, looks at it and keeps it. It returns ref as it was with an error, which is a *fileError if the
// file, its carrier or the account is to blame.
func (p *Pipeline) fetch(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, ref omni.MediaReference) (omni.MediaReference, error) {
	a, err := p.AccountByID(ctx, t, ch.CarrierAccountID)
	if errors.Is(err, omni.ErrNotFound) {
		return ref, &fileError{words: "The carrier account of this channel is disabled.", err: err}
	}
	if err != nil {
		return ref, err
	}
	if t := p.o.MediaHTTP.Timeout; t > 0 { // which would not tell whether it was in time that the body ended
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	r, err := mediaRequest(ctx, a.Carrier, ref)
	if err != nil {
		return ref, err
	}
	resp, err := p.o.MediaHTTP.Do(r)
	if err != nil {
		return ref, unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := answered(resp.StatusCode); err != nil {
		return ref, err
	}

	body := &source{ctx: ctx, r: resp.Body}
	head := make([]byte, fileHead)
	n, _ := io.ReadFull(body, head) // a short file is no error
	if body.err != nil {
		return ref, unreachable(body.err)
	}
	head = head[:n]
	found, err := inspect(ref, head)
	if err != nil {
		return ref, err
	}
	whole := &summed{r: io.MultiReader(bytes.NewReader(head), body), hash: sha256.New(), want: cmp.Or(ref.SHA256, carriers.ExpectedSum(r))}
	found.SHA256, found.Size, err = p.o.Media.Put(ctx, t.OrganisationID, whole)
	switch {
	case body.err != nil:
		return ref, unreachable(body.err)
	case errors.Is(err, errOtherSum):
		return ref, &fileError{words: "The file came damaged from the carrier: it is not the one that was sent. Ask for it to be sent again.", err: err}
	case err != nil:
		return ref, fmt.Errorf("keep file: %w", err)
	}
	found.ID, found.State = omni.NewID(), omni.MediaReady
	return found, nil
}

// source remembers why a body ended early, which is the sender's doing and not ours. A server that notices that it is given
// up may still end what it has begun as if that were all: it is not, whatever the body says after the time is over.
type source struct {
	ctx context.Context //nolint:containedctx // of the request whose answer this is
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if late := s.ctx.Err(); err != nil && late != nil {
		err = late
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// errOtherSum is what a file's reader gives instead of its end if the file is not the one that its carrier told of.
var errOtherSum = errors.New("its SHA-256 is another than the carrier says")

// summed reads a file that has to have a SHA-256. It ends with errOtherSum where it has another, so that whoever keeps it does not.
type summed struct {
	r    io.Reader
	hash hash.Hash
	want string // lower-case hex; empty: any
}

// Read implements io.Reader.
func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if s.want == "" {
		return n, err
	}
	s.hash.Write(b[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(s.hash.Sum(nil)) != s.want {
		err = errOtherSum
	}
	return n, err
}

const notShown = "Files of this kind are not shown, because they can do harm."

const fileGone = "The carrier does not have the file. Ask for it to be sent again."

const notAllowed = "The address of this file is not one that files may be fetched from."

// mediaRequest makes the request for a file. Where a carrier has a list of hosts no other is asked.
func mediaRequest(ctx context.Context, c carriers.Carrier, ref omni.MediaReference) (*http.Request, error) {
	f, ok := c.(carriers.MediaFetcher)
	if !ok {
		u, err := url.Parse(ref.External.URL)
		if err != nil || u.Host == "" || u.User != nil {
			return nil, &fileError{words: notAllowed, final: true}
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
		if err != nil {
			return nil, &fileError{words: notAllowed, final: true}
		}
		return r, nil
	}
	r, err := f.MediaRequest(ctx, ref)
	if errors.Is(err, omni.ErrNotFound) {
		return nil, &fileError{words: fileGone, final: true, err: err}
	}
	if errors.Is(err, omni.ErrForbidden) || errors.Is(err, omni.ErrInvalid) {
		return nil, &fileError{words: notAllowed, final: true, err: err}
	}
	if err != nil {
		return nil, unreachable(err)
	}
	if !slices.ContainsFunc(f.MediaHosts(), func(listed string) bool { return hostListed(listed, r.URL.Host) }) {
		return nil, &fileError{words: notAllowed, final: true}
	}
	return r, nil
}

// hostListed reports whether a host is the one of a carrier's list, such as files.example.com, or below it, such as
// *.example.com.
func hostListed(listed, host string) bool {
	listed, host = strings.ToLower(listed), strings.ToLower(host)
	if suffix, ok := strings.CutPrefix(listed, "*."); ok {
		return strings.HasSuffix(host, "."+suffix)
	}
	return host == listed
}

// unreachable puts a failed exchange into words.
func unreachable(err error) *fileError {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL
	}
	switch {
	case errors.Is(err, httpout.ErrForbiddenAddress) || errors.Is(err, httpout.ErrForbiddenURL) || errors.Is(err, httpout.ErrRedirects):
		return &fileError{words: notAllowed, final: true, err: err}
	case errors.Is(err, httpout.ErrTooLarge):
		return &fileError{words: "The file is larger than 25 MB.", final: true, err: err}
	}
	return &fileError{words: "The file could not be fetched from the carrier. Ask for it to be sent again.", err: err}
}

func answered(status int) error {
	err := fmt.Errorf("status %d", status)
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return &fileError{words: "The carrier refused to give the file. An admin has to look at the carrier account.", err: err}
	case http.StatusNotFound, http.StatusGone:
		return &fileError{words: fileGone, err: err}
	default:
		return unreachable(err)
	}
}

// inspect finds out by the beginning of a file what it is, and refuses what is not on the list or not what it was
// said to be. An error is a *fileError.
func inspect(ref omni.MediaReference, head []byte) (found omni.MediaReference, err error) {
	defer func() {
		if v := recover(); v != nil { // a file must not stop the others
			err = &fileError{words: "The file is damaged.", final: true, err: fmt.Errorf("panic of type %T", v)}
		}
	}()
	if len(head) == 0 {
		return ref, &fileError{words: "The file is empty."}
	}
	typ, _, err := mime.ParseMediaType(mimetype.Detect(head).String())
	kind, ok := fileTypes[typ]
	if err != nil || !ok {
		return ref, &fileError{words: notShown, final: true, err: errors.New("it is " + typ)}
	}
	if !agrees(ref, kind) {
		return ref, &fileError{words: "The file is not what it was said to be.", final: true, err: errors.New("it is " + typ)}
	}
	if kind == omni.MediaImage {
		c, _, err := image.DecodeConfig(bytes.NewReader(head))
		switch {
		case err != nil:
			return ref, &fileError{words: "The picture is damaged.", final: true, err: err}
		case int64(c.Width)*int64(c.Height) > maxPixels:
			return ref, &fileError{words: "The picture has more than 40 million pixels.", final: true}
		}
	}
	if claimed(ref) == "" || ref.Type == omni.MediaDocument {
		ref.Type = kind
	}
	ref.ContentType = typ
	ref.FileName = label(ref.FileName)
	return ref, nil
}

// claimed is the content type that a file was said to have, or "" if none was.
func claimed(ref omni.MediaReference) string {
	typ, _, _ := strings.Cut(ref.ContentType, ";")
	switch typ = strings.ToLower(strings.TrimSpace(typ)); typ {
	case "application/octet-stream", "binary/octet-stream":
		return ""
	default:
		return typ
	}
}

// agrees reports whether a file is of the kind that it was said to be. Recordings and films share their containers,
// so one may be called the other.
func agrees(ref omni.MediaReference, kind omni.MediaType) bool {
	moving := func(m omni.MediaType) bool { return m == omni.MediaAudio || m == omni.MediaVideo }
	return ref.Type == kind || moving(ref.Type) && moving(kind) || ref.Type == omni.MediaDocument && claimed(ref) == ""
}

// label makes a file's name one line without a path.
func label(name string) string {
	name = omni.CleanName(name)
	return strings.TrimSpace(name[strings.LastIndexAny(name, `/\`)+1:])
}
