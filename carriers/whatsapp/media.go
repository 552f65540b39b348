package whatsapp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Largest files, in bytes. Source: "Media", read 2026-11-23. What is larger or of another type can go as a document.
const (
	maxImage    = 5 << 20
	maxAudio    = 16 << 20
	maxVideo    = 16 << 20
	maxSticker  = 500 << 10 // a sticker that does not move: 100 KB
	maxDocument = 100 << 20
)

// mediaHosts are where Meta keeps files.
var mediaHosts = []string{"lookaside.fbsbx.com", "*.fbsbx.com", "*.whatsapp.net"}

// fileKind is what a file is sent as.
type fileKind string

const (
	kindImage    fileKind = "image"
	kindVideo    fileKind = "video"
	kindAudio    fileKind = "audio"
	kindSticker  fileKind = "sticker"
	kindDocument fileKind = "document"
)

// kinds tells what files can be sent as by their type.
var kinds = map[string]struct {
	kind    fileKind
	largest int64
	caption bool
}{
	"image/jpeg": {kindImage, maxImage, true},
	"image/png":  {kindImage, maxImage, true},
	"image/webp": {kindSticker, maxSticker, false},
	"audio/aac":  {kindAudio, maxAudio, false},
	"audio/amr":  {kindAudio, maxAudio, false},
	"audio/mpeg": {kindAudio, maxAudio, false},
	"audio/mp4":  {kindAudio, maxAudio, false},
	"audio/ogg":  {kindAudio, maxAudio, false},
	"video/mp4":  {kindVideo, maxVideo, true},
	"video/3gpp": {kindVideo, maxVideo, true},
}

// contentType is the type of a file without its parameters.
func contentType(ref omni.MediaReference) string {
	typ, _, _ := strings.Cut(ref.ContentType, ";")
	return strings.ToLower(strings.TrimSpace(typ))
}

// kindOf chooses what a file is sent as. A document takes what nothing else does: any type, any size, any caption.
func kindOf(ref omni.MediaReference, captioned bool) fileKind {
	k, ok := kinds[contentType(ref)]
	if !ok || ref.Size > k.largest || captioned && !k.caption {
		return kindDocument
	}
	return k.kind
}

// sending is one message on its way, and the files that were uploaded for it.
type sending struct {
	ctx     context.Context //nolint:containedctx // of the call of Send that it belongs to
	c       *Carrier
	phoneID string
	used    []string // keys of uploads
}

// out makes a file part of a message: by its id at Meta if it can be read here, else by the address that Meta fetches it
// from, which fails more often.
func (s *sending) out(ref omni.MediaReference, kind fileKind) (*outFile, error) {
	if ref.Size > maxDocument {
		return nil, malformed("the file has %d bytes, and %d is the most", ref.Size, maxDocument)
	}
	f := &outFile{Link: ref.External.URL}
	if kind == kindDocument {
		f.Filename = ref.FileName
	}
	if s.c.openFile != nil {
		id, err := s.upload(ref)
		switch {
		case err == nil:
			f.ID, f.Link = id, ""
			return f, nil
		case !errors.Is(err, omni.ErrNotFound) || f.Link == "":
			return nil, err
		}
	}
	if f.Link == "" {
		return nil, malformed("a file has no address that Meta can fetch it from")
	}
	return f, nil
}

// header makes a file the header of an interactive message.
func (s *sending) header(ref omni.MediaReference) (*outHeader, error) {
	kind := kindOf(ref, true)
	f, err := s.out(ref, kind)
	if err != nil {
		return nil, err
	}
	h := &outHeader{Type: string(kind)}
	switch kind {
	case kindImage:
		h.Image = f
	case kindVideo:
		h.Video = f
	default:
		h.Document = f
	}
	return h, nil
}

// upload brings a file to Meta, once: its id serves for weeks. The error is omni.ErrNotFound if the file is not here, else a
// *carriers.SendError. POST /{phone number id}/media
func (s *sending) upload(ref omni.MediaReference) (string, error) {
	name := ref.SHA256
	if name == "" {
		name = ref.ID
	}
	key := s.phoneID + " " + name + " " + contentType(ref)
	if id := s.c.state.uploaded(key, s.c.now()); id != "" && name != "" {
		s.used = append(s.used, key)
		return id, nil
	}
	file, err := s.c.openFile(s.ctx, ref)
	if errors.Is(err, omni.ErrNotFound) {
		return "", err
	}
	if err != nil {
		return "", &carriers.SendError{Reason: omni.ReasonUnreachable, Err: err}
	}
	defer func() { _ = file.Close() }()
	body, kind, length, err := form(ref, file)
	if err != nil {
		return "", malformed("the file cannot be written as a form")
	}
	a, err := s.c.request(s.ctx, http.MethodPost, "/"+s.phoneID+"/media", nil, kind, body, length)
	if err != nil {
		return "", notSent(err)
	}
	var answer struct {
		ID text `json:"id"`
	}
	if lenient(a.Body, &answer) != nil || !isMediaID(string(answer.ID)) {
		return "", &carriers.SendError{Reason: omni.ReasonUnreachable, Err: carriers.Missing("id")}
	}
	if name != "" {
		s.c.state.keepUpload(key, string(answer.ID), s.c.now())
		s.used = append(s.used, key)
	}
	return string(answer.ID), nil
}

// form is an upload as a form of several parts. Its length is -1 if that of the file is not known.
func form(ref omni.MediaReference, file io.Reader) (body io.Reader, kind string, length int64, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	typ := ref.ContentType
	if typ == "" || strings.ContainsAny(typ, "\r\n") {
		typ = "application/octet-stream"
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			return '_'
		}
		return r
	}, ref.FileName)
	if name == "" {
		name = "file"
	}
	fields := errors.Join(w.WriteField("messaging_product", "whatsapp"), w.WriteField("type", typ))
	_, part := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {typ},
	})
	head := bytes.Clone(b.Bytes())
	b.Reset()
	if err := errors.Join(fields, part, w.Close()); err != nil {
		return nil, "", 0, err
	}
	length = -1
	if ref.Size > 0 {
		length = int64(len(head)) + ref.Size + int64(b.Len())
		file = io.LimitReader(file, ref.Size)
	} else {
		file = io.LimitReader(file, maxDocument)
	}
	return io.MultiReader(bytes.NewReader(head), file, &b), w.FormDataContentType(), length, nil
}

// isMediaID reports whether s is an id of a file: it stands in a path.
func isMediaID(s string) bool {
	return s != "" && len(s) <= 255 && s[0] != '.' && !strings.Contains(s, "..") && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
	})
}

// MediaHosts implements carriers.MediaFetcher.
func (c *Carrier) MediaHosts() []string {
	if c.double != nil {
		return append([]string{c.double.Host}, mediaHosts...)
	}
	return mediaHosts
}

// MediaRequest implements carriers.MediaFetcher. Where a file lies is asked anew each time, as its address holds for five
// minutes: GET /{media id}. The address takes the token too, so it has to be one of Meta's.
func (c *Carrier) MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error) {
	address, sum := ref.External.URL, ""
	if ref.External.ID != "" {
		if !isMediaID(ref.External.ID) {
			return nil, omni.Problemf(omni.ErrInvalid, "the file has no id of WhatsApp's")
		}
		a, err := c.call(ctx, http.MethodGet, "/"+ref.External.ID, nil, nil)
		if err != nil {
			return nil, problemOfFile(err)
		}
		var answer struct {
			URL    text `json:"url"`
			SHA256 text `json:"sha256"`
		}
		if lenient(a.Body, &answer) != nil || answer.URL == "" {
			return nil, omni.Problemf(omni.ErrUnavailable, "WhatsApp did not say where the file is")
		}
		address, sum = string(answer.URL), sumOf(string(answer.SHA256))
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil || !c.mayFetch(u) {
		return nil, omni.Problemf(omni.ErrForbidden, "the file is not at one of WhatsApp's hosts")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the file is not a URL")
	}
	r.Header.Set("Authorization", "Bearer "+c.config.accessToken.Reveal())
	r.Header.Set("User-Agent", "Mozilla/5.0 (compatible; omniservice)") // without one that looks usual Meta's hosts refuse
	return carriers.ExpectSum(r, sum), nil
}

// sumOf is a file's SHA-256 as lower-case hex. Meta writes it in Base64 in webhooks, and has written hex elsewhere; what is
// neither is "", and not checked.
func sumOf(s string) string {
	if sum, err := base64.StdEncoding.DecodeString(s); err == nil && len(sum) == sha256.Size {
		return hex.EncodeToString(sum)
	}
	if sum, err := hex.DecodeString(s); err == nil && len(sum) == sha256.Size {
		return hex.EncodeToString(sum)
	}
	return ""
}

// problemOfFile says why the address of a file cannot be had. Nothing but an id that Meta does not know is final.
func problemOfFile(err error) error {
	var s *carriers.SendError
	if errors.As(err, &s) && (s.Reason == omni.ReasonMalformed || s.Reason == omni.ReasonRejected) {
		p := omni.Problemf(omni.ErrNotFound, "WhatsApp does not have the file any more")
		p.Err = err
		return p
	}
	p := omni.Problemf(omni.ErrUnavailable, "WhatsApp did not say where the file is")
	p.Err = err
	return p
}

// mayFetch reports whether a file may be fetched from u with our token.
func (c *Carrier) mayFetch(u *url.URL) bool {
	if c.double != nil && u.Scheme == c.double.Scheme && u.Host == c.double.Host {
		return true
	}
	if u.Scheme != "https" {
		return false
	}
	name := strings.ToLower(u.Host)
	return slices.ContainsFunc(mediaHosts, func(host string) bool {
		suffix, wild := strings.CutPrefix(host, "*")
		return name == host || wild && strings.HasSuffix(name, suffix)
	})
}
