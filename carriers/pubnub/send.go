package pubnub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// outbound is a message as apps get it. Its shape is that of PubNub's Chat SDK.
type outbound struct {
	Type          string     `json:"type"`
	Text          string     `json:"text"`
	ReplyTo       string     `json:"replyTo,omitempty"` // timetoken of the message on the same channel that this answers
	Files         []sentFile `json:"files,omitempty"`
	OmniMessageID string     `json:"omniMessageId"` // ours: apps tell a second copy by it, and so does Lookup
}

// sentFile is a file that is not the message's own.
type sentFile struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	URL  string `json:"url"`
	Type string `json:"type,omitempty"`
}

// storedFile names a file that PubNub stores.
type storedFile struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// fileMessage is how a file goes out that PubNub stores: SDKs make a file event of it.
type fileMessage struct {
	Message outbound   `json:"message"`
	File    storedFile `json:"file"`
}

// Send implements carriers.Carrier: it publishes on the channel that is the sender's address. Files are uploaded before, if
// they can be read here; otherwise their addresses go out.
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	channel, err := sender(m.Publish)
	if err != nil {
		return carriers.SendResult{}, malformed(err)
	}
	text, files := m.Payload.TextBody(), m.Payload.Files()
	if text == "" && len(files) == 0 {
		return carriers.SendResult{}, malformed(errors.New("the message has neither text nor files"))
	}
	out := outbound{Type: "text", Text: text, OmniMessageID: m.ID}
	if of, timetoken, err := splitID(m.Publish.ReplyTo); err == nil && of == channel {
		out.ReplyTo = timetoken
	}
	stored, links, err := c.bring(ctx, channel, files)
	if err != nil {
		return carriers.SendResult{}, err
	}
	if len(stored) == 1 && len(links) == 0 {
		if in, size, err := c.fileCall(channel, fileMessage{Message: out, File: stored[0].storedFile}); err == nil && size < maxMessage {
			return c.bringOut(ctx, channel, in, size)
		}
	}
	for _, s := range stored {
		out.Files = append(out.Files, sentFile{ID: s.ID, Name: s.Name, URL: c.fileURL(channel, s.ID, s.Name), Type: s.contentType})
	}
	out.Files = append(out.Files, links...)
	return c.publish(ctx, channel, out)
}

func malformed(err error) *carriers.SendError {
	return &carriers.SendError{Reason: omni.ReasonMalformed, Err: err}
}

// sender is the channel that a message goes out on.
func sender(p *omni.PublishChannel) (string, error) {
	switch {
	case p == nil || p.Sender == "":
		return "", errors.New("the message has no channel to go out on")
	case p.ChannelType != omni.ChannelPubNub:
		return "", fmt.Errorf("no channel of type %s here", p.ChannelType)
	case !omni.ValidPubNubChannel(p.Sender):
		return "", errors.New("the sender is not the name of a PubNub channel")
	}
	return p.Sender, nil
}

// encodeJSON writes v without escaping what only pages of HTML would need escaped.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// publish brings a message out. A signed one goes by GET, with the message in the path: of signatures of POST it is not known
// which version PubNub wants.
func (c *Carrier) publish(ctx context.Context, channel string, out outbound) (carriers.SendResult, error) {
	body, err := encodeJSON(out)
	if err != nil {
		return carriers.SendResult{}, malformed(err)
	}
	in := call{
		method: http.MethodPost, query: c.storing(), body: body,
		path: "/publish/" + escape(c.config.publishKey) + "/" + escape(c.config.subscribeKey) + "/0/" + escape(channel) + "/0",
	}
	size := len(body)
	if c.config.signs() {
		escaped := escape(string(body))
		in.method, in.body, size = http.MethodGet, nil, len(escaped)
		in.path += "/" + escaped
	}
	return c.bringOut(ctx, channel, in, size)
}

// fileCall brings a file out that PubNub stores. That goes by GET alone, so a long text beside it needs the other way.
func (c *Carrier) fileCall(channel string, out fileMessage) (in call, size int, err error) {
	body, err := encodeJSON(out)
	if err != nil {
		return call{}, 0, err
	}
	escaped := escape(string(body))
	return call{
		method: http.MethodGet, query: c.storing(),
		path: "/v1/files/publish-file/" + escape(c.config.publishKey) + "/" + escape(c.config.subscribeKey) + "/0/" + escape(channel) +
			"/0/" + escaped,
	}, len(escaped), nil
}

// storing are the parameters of what is published.
func (c *Carrier) storing() map[string]string {
	q := map[string]string{"store": "1"}
	if c.config.hours != "" {
		q["ttl"] = c.config.hours
	}
	if c.config.messageType != "" {
		q["custom_message_type"] = c.config.messageType
	}
	return q
}

func (c *Carrier) bringOut(ctx context.Context, channel string, in call, size int) (carriers.SendResult, error) {
	if size >= maxMessage {
		return carriers.SendResult{}, malformed(fmt.Errorf("the message has %d bytes, and less than %d is the most", size, maxMessage))
	}
	a, err := c.exchange(ctx, in)
	if err != nil {
		return carriers.SendResult{}, err
	}
	return taken(channel, a)
}

// taken reads an answer of success: [1,"Sent","<timetoken>"]. What begins with 0 is none. If the answer makes no sense, PubNub may
// have the message all the same.
func taken(channel string, a carriers.Answer) (carriers.SendResult, error) {
	unknown := func(err error) (carriers.SendResult, error) {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	body, err := readJSON(a.Body)
	if err != nil {
		return unknown(err)
	}
	var parts []value
	for element := range body.elements() {
		if parts = append(parts, element); len(parts) == 3 {
			break
		}
	}
	switch {
	case len(parts) > 1 && string(parts[0]) == "0":
		reason := reasons[http.StatusOK].Reason
		if namesKey(parts[1]) {
			reason = omni.ReasonMisconfigured
		}
		return carriers.SendResult{}, &carriers.SendError{Reason: reason, Code: strconv.Itoa(a.Status), Err: errors.New("answered with 0")}
	case len(parts) < 3 || string(parts[0]) != "1" || parts[2].kind() != '"' || parts[2].digits() == "":
		return unknown(errors.New("the answer has no timetoken"))
	}
	return carriers.SendResult{CarrierMessageID: messageID(channel, parts[2].digits()), Status: omni.StatusSent}, nil
}

// upload is a file that was brought to PubNub.
type upload struct {
	storedFile

	contentType string
}

// bring uploads the files that can be read here. The others go out as links.
func (c *Carrier) bring(ctx context.Context, channel string, files []omni.MediaReference) (stored []upload, links []sentFile, err error) {
	for _, f := range files {
		content, err := c.read(ctx, f)
		switch {
		case errors.Is(err, omni.ErrNotFound):
			if f.External.URL == "" {
				return nil, nil, malformed(errors.New("a file is neither here nor has it an address"))
			}
			links = append(links, sentFile{ID: f.ID, Name: f.FileName, URL: f.External.URL, Type: f.ContentType})
			continue
		case err != nil:
			return nil, nil, err
		}
		name, err := c.upload(ctx, channel, f, content)
		if err != nil {
			return nil, nil, notPublished(err)
		}
		stored = append(stored, upload{storedFile: name, contentType: f.ContentType})
	}
	return stored, links, nil
}

// notPublished makes an error of something before a message goes out: whatever became of that, nobody has seen the message.
func notPublished(err error) error {
	if failure, ok := errors.AsType[*carriers.SendError](err); ok && failure.Reason == omni.ReasonUnknown {
		return &carriers.SendError{Reason: omni.ReasonUnreachable, Code: failure.Code, RetryAfter: failure.RetryAfter, Err: failure.Err}
	}
	return err
}

// read reads a file of ours. It is omni.ErrNotFound if it is not here, else a *carriers.SendError.
func (c *Carrier) read(ctx context.Context, f omni.MediaReference) ([]byte, error) {
	if c.openFile == nil {
		return nil, omni.ErrNotFound
	}
	r, err := c.openFile(ctx, f)
	if errors.Is(err, omni.ErrNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: fmt.Errorf("open a file: %w", err)}
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: fmt.Errorf("read a file: %w", err)}
	}
	if len(content) > maxFile {
		return nil, malformed(fmt.Errorf("a file has more than %d bytes", maxFile))
	}
	return content, nil
}

// uploadForm is what PubNub answers to who wants to upload.
type uploadForm struct {
	Data    storedFile `json:"data"`
	Request struct {
		URL    string `json:"url"`
		Fields []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"form_fields"`
	} `json:"file_upload_request"`
}

// upload brings a file to where PubNub says, which is not PubNub itself: no credentials of ours go there.
func (c *Carrier) upload(ctx context.Context, channel string, f omni.MediaReference, content []byte) (storedFile, error) {
	name := fileName(f)
	ask, err := encodeJSON(map[string]string{"name": name})
	if err != nil {
		return storedFile{}, malformed(err)
	}
	a, err := c.exchange(ctx, call{method: http.MethodPost, path: c.filePath(channel) + "/generate-upload-url", body: ask})
	if err != nil {
		return storedFile{}, err
	}
	var form uploadForm
	if json.Unmarshal(a.Body, &form) != nil || form.Data.ID == "" || form.Data.Name == "" || !c.mayUpload(form.Request.URL) {
		return storedFile{}, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: errors.New("the answer does not say where to upload")}
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, field := range form.Request.Fields {
		if strings.ToLower(field.Key) == "content-type" && f.ContentType != "" {
			field.Value = f.ContentType
		}
		if err := w.WriteField(field.Key, field.Value); err != nil {
			return storedFile{}, malformed(fmt.Errorf("write the upload: %w", err))
		}
	}
	head := textproto.MIMEHeader{}
	head.Set("Content-Disposition", multipart.FileContentDisposition("file", name))
	if head.Set("Content-Type", f.ContentType); f.ContentType == "" {
		head.Set("Content-Type", "application/octet-stream")
	}
	part, err := w.CreatePart(head)
	if err == nil {
		if _, err = part.Write(content); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return storedFile{}, malformed(fmt.Errorf("write the upload: %w", err))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, form.Request.URL, &b)
	if err != nil {
		return storedFile{}, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: errors.New("the address of the upload is not a URL")}
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	if a, err = carriers.Exchange(c.http, r); err == nil && a.Status/100 != 2 {
		err = a.Refused(carriers.ReasonOfStatus(a.Status), strconv.Itoa(a.Status), c.now())
	}
	return form.Data, err
}

// mayUpload reports whether a file may go to an address.
func (c *Carrier) mayUpload(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.User == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == c.apiScheme && u.Host == c.apiHost)
}

// fileName is what a file is called at PubNub.
func fileName(f omni.MediaReference) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\`, r) {
			return '_'
		}
		return r
	}, omni.CleanName(f.FileName))
	if name != "" && name != "." && name != ".." {
		return name
	}
	for end, kind := range endings {
		if kind == f.ContentType {
			return "file" + end
		}
	}
	return "file"
}

// endings are those of the names of files that have none.
var endings = map[string]string{
	".jpg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp", ".mp3": "audio/mpeg", ".ogg": "audio/ogg",
	".m4a": "audio/mp4", ".mp4": "video/mp4", ".pdf": "application/pdf", ".txt": "text/plain", ".csv": "text/csv", ".vcf": "text/vcard",
}
