package server

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"github.com/gin-gonic/gin"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

// Media gives the files of messages: pipeline.Media is one.
type Media interface {
	// Open opens a file of an organisation. One that is not there is fs.ErrNotExist.
	Open(ctx context.Context, organisationID, sha256 string) (io.ReadSeekCloser, error)
}

const (
	// linkFor is how long a link to a file works at most (rule M4).
	linkFor = 15 * time.Minute
	// linkStep is how long links to a file are the same: a browser that has it need not get it again.
	linkStep = 5 * time.Minute

	// policyMedia keeps a file that is opened by itself from doing anything.
	policyMedia = "sandbox; default-src 'none'; frame-ancestors 'none'"
)

const mediaRoute = "/media/:organisation/:message/:file"

// checkMedia checks what links to files need.
func (s *Server) checkMedia() error {
	for _, k := range s.o.MediaKeys {
		if len(k) < sha256.Size {
			return fmt.Errorf("a key for links to files has %d bytes, it must have at least %d", len(k), sha256.Size)
		}
	}
	if s.d.Media != nil && len(s.o.MediaKeys) == 0 {
		return errors.New("links to files need a key")
	}
	if s.o.MediaURL == "" {
		return nil
	}
	u, err := url.Parse(s.o.MediaURL)
	if err != nil || !omni.ValidOrigin(s.o.MediaURL) {
		return fmt.Errorf("the media URL %q must be like https://media.example.com, without a path", s.o.MediaURL)
	}
	if u.Scheme != "https" && !loopback(u.Hostname()) {
		return fmt.Errorf("the media URL %s must begin with https: its links let in whoever has them", s.o.MediaURL)
	}
	s.mediaHost = u.Host
	return nil
}

const (
	// carrierLinkFor is how long a carrier can fetch a file: some keep a message for hours before they do.
	carrierLinkFor = 12 * time.Hour

	carrierRoute = "/m/:token"
	idBytes      = 16
	tokenBytes   = 3*idBytes + 8 + sha256.Size
)

// FileLink is an address under which a carrier fetches a file of a message without a login, until carrierLinkFor has passed. Its
// ending tells the file's type to those who go by it. It is for the carrier alone: whoever has it gets the file. "" if this
// gateway keeps no files.
func (s *Server) FileLink(m omni.ServiceMessage, f omni.MediaReference) string {
	if s.d.Media == nil {
		return ""
	}
	b := make([]byte, 0, tokenBytes)
	for _, id := range []string{m.Tenant.OrganisationID, m.ID, f.ID} {
		raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
		if err != nil || len(raw) != idBytes {
			return ""
		}
		b = append(b, raw...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.now().Add(carrierLinkFor).Unix()))
	b = append(b, carrierMAC(s.o.MediaKeys[0], b)...)
	end := ""
	if known := mimetype.Lookup(f.ContentType); known != nil {
		end = known.Extension()
	}
	return cmp.Or(s.o.MediaURL, s.o.PublicURL) + "/m/" + base64.RawURLEncoding.EncodeToString(b) + end
}

// carrierMAC signs a link for carriers. What it signs begins with a byte that no text of linkMAC begins with, so that neither
// passes for the other.
func carrierMAC(key, link []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(link)
	return h.Sum(nil)
}

// carrierLink reads a token of FileLink. ok is false for one that is not ours or has ended.
func (s *Server) carrierLink(token string) (organisation, message, file string, ok bool) {
	token, _, _ = strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenBytes {
		return "", "", "", false
	}
	signed, given := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	for _, k := range s.o.MediaKeys {
		ok = hmac.Equal(given, carrierMAC(k, signed)) || ok
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(signed[3*idBytes:])), 0)
	id := func(n int) string {
		t := hex.EncodeToString(signed[n*idBytes : (n+1)*idBytes])
		return t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:]
	}
	return id(0), id(1), id(2), ok && s.now().Before(until)
}

// serveCarrier gives a file to a carrier that was told its address. What is wrong with an address is not told.
func (s *Server) serveCarrier(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policyMedia)
	h.Set("X-Robots-Tag", "noindex")
	organisation, message, file, ok := s.carrierLink(c.Param("token"))
	if !ok || s.mediaHost != "" && c.Request.Host != s.mediaHost {
		s.writeProblem(c, omni.Problemf(omni.ErrNotFound, "There is nothing at this address."))
		return
	}
	ref, f, err := s.openMedia(c.Request.Context(), organisation, message, file)
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	defer func() { _ = f.Close() }()
	h.Set("Content-Type", ref.ContentType)
	h.Set("Content-Disposition", disposition(ref))
	h.Set("Cache-Control", "private, no-store")
	h.Set("ETag", `"`+ref.SHA256+`"`)
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
	c.Abort()
}

// newMessage is wire.NewMessage with links to the files that are here.
func (s *Server) newMessage(m omni.ServiceMessage) wire.Message {
	v := wire.NewMessage(m)
	if words := s.d.Carriers.Explain(m.Channel.Carrier, m.ErrorCode); words != "" {
		v.ErrorText = words
	}
	s.link(m, v.Payload.Files)
	return v
}

// visitorView is what a visitor sees of a message, with links to the files that are here.
func (s *Server) visitorView(ctx context.Context, m omni.ServiceMessage) wire.VisitorMessage {
	v := s.d.Pipeline.VisitorView(ctx, m)
	s.link(m, v.Payload.Files)
	return v
}

// link puts links to those files of a message that are here.
func (s *Server) link(m omni.ServiceMessage, files []wire.File) {
	if s.d.Media == nil {
		return
	}
	expires := s.now().Truncate(linkStep).Add(linkFor).Unix()
	for n, f := range files {
		if f.State == omni.MediaReady && f.ID != "" {
			files[n].URL = fmt.Sprintf("%s/media/%s/%s/%s?e=%d&s=%s", s.o.MediaURL, m.Tenant.OrganisationID, m.ID, f.ID, expires,
				base64.RawURLEncoding.EncodeToString(linkMAC(s.o.MediaKeys[0], m.Tenant.OrganisationID, m.ID, f.ID, expires)))
			files[n].URLUntil = omni.Millis(expires * 1000)
		}
	}
}

// newMessages is newMessage for a page of them, with the reactions to them.
func (s *Server) newMessages(ctx context.Context, t omni.Tenant, ms []omni.ServiceMessage) ([]wire.Message, error) {
	ids := make([]string, 0, len(ms))
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	all, err := s.d.Store.Reactions(ctx, t, ids...)
	if err != nil {
		return nil, err
	}
	reactions := wire.NewReactions(all)
	views := make([]wire.Message, 0, len(ms))
	for _, m := range ms {
		v := s.newMessage(m)
		v.Reactions = reactions[m.ID]
		views = append(views, v)
	}
	return views, nil
}

// linkMAC signs a link: it is good for one file of one organisation, until it expires. Ids hold no spaces.
func linkMAC(key []byte, organisation, message, file string, expires int64) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "%s %s %s %d", organisation, message, file, expires)
	return h.Sum(nil)
}

// linkExpires returns when the link of a request ends, if it is one of ours that has not ended.
func (s *Server) linkExpires(c *gin.Context) (time.Time, error) {
	refused := omni.Problemf(omni.ErrForbidden, "The link to this file is not valid, or has expired. Open the conversation again.")
	if s.mediaHost != "" && c.Request.Host != s.mediaHost {
		return time.Time{}, omni.Problemf(omni.ErrNotFound, "There is nothing at this address.")
	}
	if knownID(c.Param("organisation"), c.Param("message"), c.Param("file")) != nil {
		return time.Time{}, refused
	}
	expires, err := strconv.ParseInt(c.Query("e"), 10, 64)
	if err != nil {
		return time.Time{}, refused
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(c.Query("s"))
	if err != nil {
		return time.Time{}, refused
	}
	ok := false
	for _, k := range s.o.MediaKeys {
		ok = hmac.Equal(given, linkMAC(k, c.Param("organisation"), c.Param("message"), c.Param("file"), expires)) || ok
	}
	end := time.Unix(expires, 0)
	if !ok || !s.now().Before(end) {
		return time.Time{}, refused
	}
	return end, nil
}

// serveMedia gives a file to whoever has a link to it. Pictures, recordings and films are shown; all else is saved.
func (s *Server) serveMedia(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policyMedia)
	h.Set("Cache-Control", "no-store")
	end, err := s.linkExpires(c)
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	ref, f, err := s.openMedia(c.Request.Context(), c.Param("organisation"), c.Param("message"), c.Param("file"))
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	defer func() { _ = f.Close() }()
	if s.mediaHost != "" {
		h.Set("Cross-Origin-Resource-Policy", "cross-origin") // the console's is another one
	}
	h.Set("Content-Type", ref.ContentType)
	h.Set("Content-Disposition", disposition(ref))
	h.Set("Cache-Control", fmt.Sprintf("private, max-age=%d, immutable", int(end.Sub(s.now()).Seconds())))
	h.Set("ETag", `"`+ref.SHA256+`"`)
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
	c.Abort()
}

// openMedia finds a file by its message: one whose message is gone is gone too.
func (s *Server) openMedia(ctx context.Context, organisation, message, file string) (omni.MediaReference, io.ReadSeekCloser, error) {
	gone := omni.Problemf(omni.ErrNotFound, "There is no such file.")
	m, err := s.d.Store.Message(ctx, omni.Org(organisation), message)
	if err != nil {
		return omni.MediaReference{}, nil, missing(err, "file", file)
	}
	for _, ref := range pipeline.FilesOf(m) {
		if ref.ID != file || ref.State != omni.MediaReady {
			continue
		}
		f, err := s.d.Media.Open(ctx, organisation, ref.SHA256)
		if errors.Is(err, fs.ErrNotExist) {
			s.log.ErrorContext(ctx, "a file is lost", "org_id", organisation, "message_id", message)
			return ref, nil, gone
		}
		return ref, f, err
	}
	return omni.MediaReference{}, nil, gone
}

// disposition says whether a browser shows a file or saves it, and under which name: ours, but for the label, and with
// an ending that fits the content, because that decides what opens it.
func disposition(ref omni.MediaReference) string {
	name := omni.CleanName(ref.FileName)
	if name == "" {
		name = string(ref.Type)
	}
	if typ, _, _ := mime.ParseMediaType(mime.TypeByExtension(path.Ext(name))); typ != ref.ContentType {
		if known := mimetype.Lookup(ref.ContentType); known != nil {
			name += known.Extension()
		}
	}
	how := "attachment"
	if omni.MediaTypeOf(ref.ContentType) != omni.MediaDocument {
		how = "inline"
	}
	return mime.FormatMediaType(how, map[string]string{"filename": name})
}
