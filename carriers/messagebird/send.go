package messagebird

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/omni"
)

// call is a request to one of the APIs, and how its answer is read.
type call struct {
	path     string // with scheme and host
	body     any
	statuses map[string]omni.Status
}

// Send implements carriers.Carrier.
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	to, err := c.write(m)
	if err != nil {
		return carriers.SendResult{}, err
	}
	body, err := json.Marshal(to.body)
	if err != nil {
		return carriers.SendResult{}, malformed("the message cannot be written as JSON")
	}
	a, err := c.ask(ctx, http.MethodPost, to.path, body)
	switch {
	case err != nil:
		return carriers.SendResult{}, err
	case a.Status/100 == 2:
		return taken(a, to.statuses)
	default:
		return carriers.SendResult{}, c.refused(a)
	}
}

// ask makes one request with the access key. Errors are *carriers.SendError.
func (c *Carrier) ask(ctx context.Context, method, address string, body []byte) (carriers.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return carriers.Answer{}, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the base of the API is not a URL")}
	}
	r.Header.Set("Authorization", c.authorization())
	r.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	return carriers.Exchange(c.http, r)
}

// authorization is the header that all of the carrier's hosts take.
func (c *Carrier) authorization() string { return "AccessKey " + c.config.accessKeys[0].Reveal() }

func malformed(format string, args ...any) *carriers.SendError {
	return &carriers.SendError{Reason: omni.ReasonMalformed, Err: fmt.Errorf(format, args...)}
}

// write makes the request of a message. Errors are *carriers.SendError.
func (c *Carrier) write(m omni.ServiceMessage) (call, error) {
	if m.Publish == nil || m.Publish.Sender == "" || m.Publish.Target.Address == "" {
		return call{}, malformed("the message has no sender or no recipient")
	}
	family := m.Publish.ChannelType.Family()
	can, ok := c.Capabilities(family)
	if !ok {
		return call{}, malformed("no channel of type %s here", m.Publish.ChannelType)
	}
	text, files := m.Payload.TextBody(), m.Payload.Files()
	switch m.Payload.Type {
	case omni.PayloadText, omni.PayloadImage, omni.PayloadMedia:
	case omni.PayloadLocation:
		if !can.Location || m.Payload.Location == nil {
			return call{}, malformed("a place cannot be sent here")
		}
	default:
		return call{}, malformed("a message of type %s cannot be sent here", m.Payload.Type)
	}
	if m.Payload.Type != omni.PayloadLocation {
		if err := fits(can, text, files); err != nil {
			return call{}, err
		}
	}
	switch {
	case c.config.product == productConversations:
		return c.writeConversation(m, family, text, files)
	case c.config.product == productBird:
		return c.writeBird(m, family, text, files)
	case len(files) > 0:
		return c.writeMMS(m, text, files)
	default:
		return c.writeSMS(m, text)
	}
}

// fits checks a text and its files against what the channel can carry.
func fits(can omni.Capabilities, text string, files []omni.MediaReference) error {
	if text == "" && len(files) == 0 {
		return malformed("the message has neither text nor files")
	}
	if len(files) > can.MaxMediaCount {
		return malformed("the message has %d files, and %d is the most", len(files), can.MaxMediaCount)
	}
	most := can.MaxTextLength
	if len(files) > 0 && can.MaxCaptionLength > 0 {
		most = can.MaxCaptionLength
	}
	if n := len(utf16.Encode([]rune(text))); n > most {
		return malformed("the text has %d characters, and %d is the most", n, most)
	}
	if can.Segmented && len(files) == 0 {
		n, err := omni.CountSegments(text)
		if err != nil {
			return malformed("the text is not UTF-8")
		}
		if n.Segments > can.MaxSegments {
			return malformed("the text has %d parts, and %d is the most", n.Segments, can.MaxSegments)
		}
	}
	for _, f := range files {
		if f.External.URL == "" {
			return malformed("a file has no address that the carrier can fetch it from")
		}
	}
	return nil
}

// plain is an address as SMS and MMS want it: without plus.
func plain(address string) string { return strings.TrimPrefix(address, "+") }

// outboundSMS is the body of POST /messages. datacoding auto has the carrier choose the alphabet; its default, plain,
// loses what is not in GSM-7. Without a reference there are no reports.
type outboundSMS struct {
	Originator string   `json:"originator"`
	Recipients []string `json:"recipients"`
	Body       string   `json:"body"`
	Reference  string   `json:"reference"`
	ReportURL  string   `json:"reportUrl,omitempty"`
	Datacoding string   `json:"datacoding"`
}

func (c *Carrier) writeSMS(m omni.ServiceMessage, text string) (call, error) {
	return call{c.rest + "/messages", outboundSMS{
		Originator: plain(m.Publish.Sender), Recipients: []string{plain(m.Publish.Target.Address)}, Body: text,
		Reference: m.ID, ReportURL: c.reports(), Datacoding: "auto",
	}, classicStatuses}, nil
}

// outboundMMS is the body of POST /mms. Its reports go to the URL of the dashboard.
type outboundMMS struct {
	Originator string   `json:"originator"`
	Recipients []string `json:"recipients"`
	Body       string   `json:"body,omitempty"`
	MediaURLs  []string `json:"mediaUrls"`
	Reference  string   `json:"reference"`
}

func (c *Carrier) writeMMS(m omni.ServiceMessage, text string, files []omni.MediaReference) (call, error) {
	if !strings.HasPrefix(m.Publish.Target.Address, "+1") {
		return call{}, &carriers.SendError{Reason: omni.ReasonRejected, Err: errors.New("MMS go to numbers of the USA and Canada alone")}
	}
	out := outboundMMS{
		Originator: plain(m.Publish.Sender), Recipients: []string{plain(m.Publish.Target.Address)}, Body: text, Reference: m.ID,
	}
	for _, f := range files {
		out.MediaURLs = append(out.MediaURLs, f.External.URL)
	}
	return call{c.rest + "/mms", out, classicStatuses}, nil
}

// outboundConversation is the body of POST /v1/send. What is in source comes back with every status.
type outboundConversation struct {
	To        string              `json:"to"`
	From      string              `json:"from"`
	Type      string              `json:"type"`
	Content   conversationContent `json:"content"`
	ReportURL string              `json:"reportUrl,omitempty"`
	Source    origin              `json:"source"`
	TrackID   string              `json:"trackId"`
}

func (c *Carrier) writeConversation(m omni.ServiceMessage, family omni.ChannelType, text string, files []omni.MediaReference) (call, error) {
	from, err := c.channelID(family, m.Publish.Sender)
	if err != nil {
		return call{}, err
	}
	out := outboundConversation{
		To: m.Publish.Target.Address, From: from, ReportURL: c.reports(), Source: origin{Reference: word(m.ID)}, TrackID: m.ID,
	}
	switch at := m.Payload.Location; {
	case at != nil:
		out.Type, out.Content.Location = "location", &coordinates{at.Latitude, at.Longitude}
	case len(files) == 0:
		out.Type, out.Content.Text = "text", word(text)
	default:
		file := &conversationURL{URL: word(files[0].External.URL), Caption: word(text)}
		switch files[0].Type {
		case omni.MediaImage:
			out.Type, out.Content.Image = "image", file
		case omni.MediaVideo:
			out.Type, out.Content.Video = "video", file
		case omni.MediaAudio:
			out.Type, out.Content.Audio = "audio", file
		default:
			out.Type, out.Content.File = "file", file
		}
	}
	return call{c.conversations + "/v1/send", out, conversationStatuses}, nil
}

// outboundBird is the body of a message to a channel of Bird's. Its statuses go to the workspace's webhook subscriptions.
type outboundBird struct {
	Receiver struct {
		Contacts []birdEnd `json:"contacts"`
	} `json:"receiver"`
	Body      birdBody `json:"body"`
	Reference string   `json:"reference"`
}

func (c *Carrier) writeBird(m omni.ServiceMessage, family omni.ChannelType, text string, files []omni.MediaReference) (call, error) {
	id, err := c.channelID(family, m.Publish.Sender)
	if err != nil {
		return call{}, err
	}
	out := outboundBird{Reference: m.ID}
	out.Receiver.Contacts = []birdEnd{{Key: "phonenumber", Value: word(m.Publish.Target.Address)}}
	switch {
	case len(files) == 0:
		out.Body = birdBody{Type: "text", Text: &birdText{word(text)}}
	case files[0].Type == omni.MediaImage:
		out.Body = birdBody{Type: "image", Image: &birdImage{Text: word(text), Images: birdFilesOf(files)}}
	default:
		out.Body = birdBody{Type: "file", File: &birdFiles{Text: word(text), Files: birdFilesOf(files)}}
	}
	return call{c.birdChannel(id) + "/messages", out, birdStatuses}, nil
}

func birdFilesOf(files []omni.MediaReference) some[birdFile] {
	var all some[birdFile]
	for _, f := range files {
		all = append(all, birdFile{URL: word(f.External.URL), ContentType: word(f.ContentType), Name: word(f.FileName)})
	}
	return all
}

// birdChannel is the address of a channel in Bird's API.
func (c *Carrier) birdChannel(id string) string {
	return c.bird + "/workspaces/" + c.config.workspace + "/channels/" + id
}

func (c *Carrier) channelID(family omni.ChannelType, sender string) (string, error) {
	id, ok := c.config.channels.id(family, sender)
	if !ok {
		return "", &carriers.SendError{
			Reason: omni.ReasonMisconfigured, Err: errors.New("the sender has no channel id in the account's settings"),
		}
	}
	return id, nil
}

// reports is where a message's reports go, "" for where the dashboard says.
func (c *Carrier) reports() string {
	if c.webhookURL == "" || len(c.config.urlSecrets) == 0 {
		return c.webhookURL
	}
	return c.webhookURL + "?" + url.Values{urlSecretParam: {c.config.urlSecrets[0].Reveal()}}.Encode()
}

// taken reads an answer of success. If it makes no sense, the carrier has the message all the same: a report will tell
// its id.
func taken(a carriers.Answer, statuses map[string]omni.Status) (carriers.SendResult, error) {
	var answer struct {
		ID         word `json:"id"`
		Status     word `json:"status"`
		Recipients struct {
			Items some[struct {
				Status    word        `json:"status"`
				ErrorCode word        `json:"statusErrorCode"`
				Parts     json.Number `json:"messagePartCount"`
			}] `json:"items"`
		} `json:"recipients"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: carriers.MalformedJSON(err)}
	}
	id, err := carriers.ID("id", string(answer.ID))
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	result := carriers.SendResult{CarrierMessageID: id, Status: omni.StatusQueued}
	status, code := answer.Status, ""
	if items := answer.Recipients.Items; len(items) > 0 { // we send to one
		status, code = items[0].Status, carriers.Ignore("", string(items[0].ErrorCode)).Value
		if n, err := items[0].Parts.Int64(); err == nil && n > 0 && n <= 255 {
			result.Segments = int(n)
		}
	}
	switch s := statuses[string(status)]; s {
	case omni.StatusFailed, omni.StatusUndeliverable:
		return carriers.SendResult{}, &carriers.SendError{Reason: reasonOf(s, code), Code: code, Err: errors.New("refused at once")}
	case omni.StatusSent, omni.StatusDelivered, omni.StatusRead:
		result.Status = omni.StatusSent
	default:
	}
	return result, nil
}

// refused reads any other answer. Its words are left out: they may repeat the recipient's number.
func (c *Carrier) refused(a carriers.Answer) error {
	var answer struct {
		Errors some[struct {
			Code      word `json:"code"`
			Parameter word `json:"parameter"`
		}] `json:"errors"`
	}
	var given code
	if json.Unmarshal(a.Body, &answer) == nil && len(answer.Errors) > 0 {
		given = code{source: fromAPI, number: string(answer.Errors[0].Code), parameter: string(answer.Errors[0].Parameter)}
	}
	if len(given.number) > 16 {
		given.number = ""
	}
	reason, ok := known(given)
	if !ok || a.Status == http.StatusTooManyRequests {
		reason = carriers.ReasonOfStatus(a.Status)
	}
	return a.Refused(reason, given.number, c.now())
}
