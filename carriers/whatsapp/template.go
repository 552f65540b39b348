package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"omniservice/omni"
)

// Limits of templates, in characters unless said otherwise. Source: message templates, read 2026-11-20.
const (
	maxTemplateHeader  = 60
	maxTemplateBody    = 1024
	maxTemplateFooter  = 60
	maxTemplateButtons = 10 // buttons
	maxButtonText      = 25
	maxButtonURL       = 2000
	maxButtonPhone     = 20
	maxCouponCode      = 15
	maxButtonPayload   = 256
	maxSpaces          = 4  // one after the other, in what fills a place
	maxCodeMinutes     = 90 // of a code's life
)

// MessageTemplate is a template as a message carries it. (Seed: IWhatsAppMessageTemplate.)
type MessageTemplate struct {
	Name       string              `json:"name"`
	Language   TemplateLanguage    `json:"language"`
	Components []TemplateComponent `json:"components,omitempty"` // those that have places
}

// TemplateLanguage is the language of a MessageTemplate.
type TemplateLanguage struct {
	Code string `json:"code"` // en_US
}

// TemplateComponent fills a part of a MessageTemplate.
type TemplateComponent struct {
	Type       string           `json:"type"`               // header, body or button
	SubType    string           `json:"sub_type,omitempty"` // of a button
	Index      string           `json:"index,omitempty"`    // of a button, from 0
	Parameters []map[string]any `json:"parameters"`
}

// The parts of a template, its kinds of header and of button, by Meta's words.
const (
	componentHeader  = "HEADER"
	componentBody    = "BODY"
	componentFooter  = "FOOTER"
	componentButtons = "BUTTONS"

	formatText     = "TEXT"
	formatImage    = "IMAGE"
	formatVideo    = "VIDEO"
	formatDocument = "DOCUMENT"
	formatLocation = "LOCATION"

	buttonQuickReply = "QUICK_REPLY"
	buttonURL        = "URL"
	buttonPhone      = "PHONE_NUMBER"
	buttonCopyCode   = "COPY_CODE"
	buttonOTP        = "OTP"
	buttonFlow       = "FLOW"
	buttonCatalog    = "CATALOG"
	buttonProducts   = "MPM"
	buttonCall       = "VOICE_CALL"
)

// The parts of a message that fill a template's, and the kinds of what fills a place.
const (
	partHeader = "header"
	partBody   = "body"
	partButton = "button"

	paramText     = "text"
	paramPayload  = "payload"
	paramCoupon   = "coupon_code"
	paramImage    = "image"
	paramVideo    = "video"
	paramDocument = "document"
	paramLocation = "location"
	paramCurrency = "currency"
	paramDateTime = "date_time"
	paramAction   = "action"
)

// component is a part of a template as it is kept at Meta.
type component struct {
	Type              string           `json:"type"`
	Format            string           `json:"format"`
	Text              string           `json:"text"`
	Buttons           []templateButton `json:"buttons"`
	Example           example          `json:"example"`
	ExpirationMinutes int              `json:"code_expiration_minutes"` // footer of an authentication template
}

// templateButton is a button of a template.
type templateButton struct {
	Type        string    `json:"type"`
	Text        string    `json:"text"`
	URL         string    `json:"url"`
	PhoneNumber string    `json:"phone_number"`
	Example     textOrSet `json:"example"` // a text, or a list with one
	OTPType     string    `json:"otp_type"`
	FlowID      text      `json:"flow_id"`
	FlowName    string    `json:"flow_name"`
	FlowJSON    string    `json:"flow_json"`
}

// example holds what a reviewer sees in the places.
type example struct {
	HeaderText   []string       `json:"header_text"`
	HeaderNamed  []namedExample `json:"header_text_named_params"`
	HeaderHandle []string       `json:"header_handle"`
	BodyText     [][]string     `json:"body_text"`
	BodyNamed    []namedExample `json:"body_text_named_params"`
}

type namedExample struct {
	Name    string `json:"param_name"`
	Example string `json:"example"`
}

// textOrSet is a text, or a list of texts, of which the first counts.
type textOrSet string

func (t *textOrSet) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = textOrSet(one)
		return nil
	}
	var all []string
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if len(all) > 0 {
		*t = textOrSet(all[0])
	}
	return nil
}

// wrong collects what is wrong, by field.
type wrong map[string]string

func (w wrong) unless(ok bool, field, problem string) {
	if _, seen := w[field]; !ok && !seen {
		w[field] = problem
	}
}

func (w wrong) err(text string) error {
	if len(w) == 0 {
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "%s", text)
	p.Fields = w
	return p
}

// place is where something is to be filled in.
type place struct {
	name       string // "1", "2", ... or a name
	start, end int    // in the text, in bytes
}

var (
	placePattern = regexp.MustCompile(`\{\{([^{}]*)\}\}`)
	placeName    = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	languageCode = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2})?$`)
)

// places finds the places of a text, in order.
func places(text string) []place {
	var all []place
	for _, m := range placePattern.FindAllStringSubmatchIndex(text, -1) {
		all = append(all, place{text[m[2]:m[3]], m[0], m[1]})
	}
	return all
}

// placeNames are the names of a text's places, each once, in the order in which they are filled: positional ones by number.
func placeNames(text string, named bool) []string {
	var names []string
	for _, p := range places(text) {
		if !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	if !named {
		slices.SortFunc(names, func(a, b string) int {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			return x - y
		})
	}
	return names
}

// checkPlaces says what is wrong with the places of a text, "" if nothing is.
func checkPlaces(text string, named bool) string {
	rest := placePattern.ReplaceAllString(text, "")
	if strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		return "has a place that is not closed: write {{1}} or {{name}}"
	}
	names := placeNames(text, named)
	for i, name := range names {
		switch {
		case named && !placeName.MatchString(name):
			return "must name its places by lower-case letters, digits and underscores: {{customer_name}}"
		case !named && name != strconv.Itoa(i+1):
			return "must number its places without gaps: {{1}}, {{2}}, ..."
		}
	}
	return ""
}

// CheckTemplate implements carriers.TemplateManager.
func (*Carrier) CheckTemplate(t omni.MessageTemplate) error { return checkTemplate(t) }

// checkTemplate reports what Meta would refuse in a new template.
func checkTemplate(t omni.MessageTemplate) error {
	bad := wrong{}
	bad.unless(t.Name != "" && len(t.Name) <= 512 && strings.Trim(t.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "",
		"name", "must be 1 to 512 lower-case letters, digits and underscores")
	bad.unless(languageCode.MatchString(t.Language), "language", "must be a language as WhatsApp writes it, such as en or en_US")
	bad.unless(t.Category.Valid(), "category", "must be MARKETING, UTILITY or AUTHENTICATION")
	var parts []component
	if err := json.Unmarshal([]byte(t.Components), &parts); err != nil {
		bad.unless(false, "components", "must be a list of HEADER, BODY, FOOTER and BUTTONS")
		return bad.err("the template is not valid")
	}
	seen := map[string]bool{}
	for i, c := range parts {
		at := fmt.Sprintf("components.%d", i)
		bad.unless(!seen[c.Type], at+".type", "stands there twice")
		seen[c.Type] = true
		switch c.Type {
		case componentHeader:
			checkHeader(bad, at, c, t.NamedParameters)
		case componentBody:
			checkBody(bad, at, c, t)
		case componentFooter:
			checkFooter(bad, at, c, t.Category)
		case componentButtons:
			checkButtons(bad, at, c)
		default:
			bad.unless(false, at+".type", "must be HEADER, BODY, FOOTER or BUTTONS")
		}
	}
	bad.unless(seen[componentBody], "components", "must have a BODY")
	return bad.err("the template is not valid")
}

func checkHeader(bad wrong, at string, c component, named bool) {
	switch c.Format {
	case formatText:
		bad.unless(c.Text != "" && utf8.RuneCountInString(c.Text) <= maxTemplateHeader, at+".text", "must be 1 to 60 characters")
		if text := checkPlaces(c.Text, named); text != "" {
			bad.unless(false, at+".text", text)
			return
		}
		names := placeNames(c.Text, named)
		bad.unless(len(places(c.Text)) <= 1, at+".text", "must have at most one place to fill in")
		if len(names) == 0 {
			return
		}
		if named {
			bad.unless(hasNamed(names, c.Example.HeaderNamed), at+".example.header_text_named_params", "must have an example for the place")
		} else {
			bad.unless(hasPositional(names, c.Example.HeaderText), at+".example.header_text", "must have an example for the place")
		}
	case formatImage, formatVideo, formatDocument:
		bad.unless(c.Text == "", at+".text", "must be empty beside a file")
		bad.unless(len(c.Example.HeaderHandle) == 1 && c.Example.HeaderHandle[0] != "",
			at+".example.header_handle", "must have the handle of a sample file that was uploaded")
	case formatLocation:
		bad.unless(c.Text == "", at+".text", "must be empty beside a location")
	default:
		bad.unless(false, at+".format", "must be TEXT, IMAGE, VIDEO, DOCUMENT or LOCATION")
	}
}

func checkBody(bad wrong, at string, c component, t omni.MessageTemplate) {
	if t.Category == omni.TemplateAuthentication && c.Text == "" {
		return // Meta writes it
	}
	bad.unless(c.Text != "" && utf8.RuneCountInString(c.Text) <= maxTemplateBody, at+".text", "must be 1 to 1024 characters")
	if text := checkPlaces(c.Text, t.NamedParameters); text != "" {
		bad.unless(false, at+".text", text)
		return
	}
	all := places(c.Text)
	if len(all) == 0 {
		return
	}
	bad.unless(strings.TrimSpace(c.Text[:all[0].start]) != "" && strings.TrimSpace(c.Text[all[len(all)-1].end:]) != "",
		at+".text", "must neither begin nor end with a place to fill in")
	for i := range all[1:] {
		bad.unless(all[i].end != all[i+1].start, at+".text", "must have something between two places to fill in")
	}
	names := placeNames(c.Text, t.NamedParameters)
	if t.NamedParameters {
		bad.unless(hasNamed(names, c.Example.BodyNamed), at+".example.body_text_named_params", "must have an example for each place, by its name")
		return
	}
	var examples []string
	if len(c.Example.BodyText) > 0 {
		examples = c.Example.BodyText[0]
	}
	bad.unless(hasPositional(names, examples), at+".example.body_text", "must have an example for each place, in a list of lists")
}

func checkFooter(bad wrong, at string, c component, category omni.TemplateCategory) {
	if category == omni.TemplateAuthentication && c.Text == "" {
		bad.unless(c.ExpirationMinutes >= 1 && c.ExpirationMinutes <= maxCodeMinutes, at+".code_expiration_minutes", "must be 1 to 90")
		return
	}
	bad.unless(c.Text != "" && utf8.RuneCountInString(c.Text) <= maxTemplateFooter, at+".text", "must be 1 to 60 characters")
	bad.unless(!strings.Contains(c.Text, "{{"), at+".text", "must have no places to fill in")
}

func checkButtons(bad wrong, at string, c component) {
	bad.unless(len(c.Buttons) >= 1 && len(c.Buttons) <= maxTemplateButtons, at+".buttons", "must be 1 to 10")
	for i, b := range c.Buttons {
		at := fmt.Sprintf("%s.buttons.%d", at, i)
		length := utf8.RuneCountInString(b.Text)
		switch b.Type {
		case buttonQuickReply, buttonURL, buttonPhone, buttonFlow, buttonCall:
			bad.unless(length >= 1 && length <= maxButtonText, at+".text", "must be 1 to 25 characters")
		case buttonCopyCode, buttonOTP, buttonCatalog, buttonProducts: // Meta has a text for them
			bad.unless(length <= maxButtonText, at+".text", "must be at most 25 characters")
		default:
			bad.unless(false, at+".type", "must be QUICK_REPLY, URL, PHONE_NUMBER, COPY_CODE, OTP, FLOW, CATALOG, MPM or VOICE_CALL")
			continue
		}
		bad.unless(!strings.Contains(b.Text, "{{"), at+".text", "must have no places to fill in")
		switch b.Type {
		case buttonURL:
			checkButtonURL(bad, at, b)
		case buttonPhone:
			bad.unless(b.PhoneNumber != "" && len(b.PhoneNumber) <= maxButtonPhone && strings.Trim(b.PhoneNumber, "+0123456789") == "",
				at+".phone_number", "must be a phone number of at most 20 characters")
		case buttonCopyCode:
			bad.unless(b.Example != "" && utf8.RuneCountInString(string(b.Example)) <= maxCouponCode, at+".example", "must be a code of 1 to 15 characters")
		case buttonOTP:
			bad.unless(slices.Contains([]string{"COPY_CODE", "ONE_TAP", "ZERO_TAP"}, b.OTPType), at+".otp_type", "must be COPY_CODE, ONE_TAP or ZERO_TAP")
		case buttonFlow:
			bad.unless(b.FlowID != "" || b.FlowName != "" || b.FlowJSON != "", at+".flow_id", "must name the flow")
		}
	}
}

func checkButtonURL(bad wrong, at string, b templateButton) {
	fixed, variable := strings.CutSuffix(b.URL, "{{1}}")
	u, err := url.Parse(fixed)
	bad.unless(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && len(b.URL) <= maxButtonURL,
		at+".url", "must be an https address of at most 2000 bytes")
	bad.unless(!strings.Contains(fixed, "{{") && !strings.Contains(fixed, "}}"), at+".url", "may have one place to fill in, {{1}}, at its end")
	bad.unless(!variable || b.Example != "", at+".example", "must be an example for the place")
}

func hasPositional(names, examples []string) bool {
	return len(names) == len(examples) && !slices.Contains(examples, "")
}

func hasNamed(names []string, examples []namedExample) bool {
	if len(names) != len(examples) {
		return false
	}
	for _, n := range names {
		if !slices.ContainsFunc(examples, func(e namedExample) bool { return e.Name == n && e.Example != "" }) {
			return false
		}
	}
	return true
}

// FillTemplate implements carriers.TemplateManager. What is wrong is told by place: header, body.1, body.customer_name, button.0.
func (*Carrier) FillTemplate(t omni.MessageTemplate, m omni.TemplateMessage) (string, error) {
	return fillTemplate(t, m)
}

// filling is a message's part, as it is looked for by a template's.
type filling map[string]omni.TemplateComponent

func (f filling) take(key string) omni.TemplateComponent {
	c := f[key]
	delete(f, key)
	return c
}

var errNoParts = errors.New("its parts cannot be read")

func fillTemplate(t omni.MessageTemplate, m omni.TemplateMessage) (string, error) {
	var parts []component
	if err := lenient([]byte(t.Components), &parts); err != nil || len(parts) == 0 {
		return "", fmt.Errorf("read template %s: %w", t.ID, errNoParts)
	}
	bad := wrong{}
	bad.unless(m.Name == t.Name && m.Language == t.Language, "name", "must be the template's, and so must the language")
	given := filling{}
	for _, c := range m.Components {
		key := c.Type
		if c.Type == partButton {
			key = fmt.Sprintf("%s.%d", partButton, c.Index)
		}
		_, twice := given[key]
		bad.unless(!twice, key, "is filled twice")
		given[key] = c
	}
	var lines []string
	for _, c := range parts {
		switch c.Type {
		case componentHeader:
			if text := fillHeader(bad, c, given.take(partHeader), t.NamedParameters); text != "" {
				lines = append(lines, text)
			}
		case componentBody:
			text := fillText(bad, partBody, c.Text, given.take(partBody).Parameters, t.NamedParameters)
			bad.unless(utf8.RuneCountInString(text) <= maxTemplateBody, partBody, "must be at most 1024 characters when it is filled in")
			lines = append(lines, text)
		case componentFooter:
			if c.Text != "" {
				lines = append(lines, c.Text)
			}
		case componentButtons:
			for i, b := range c.Buttons {
				key := fmt.Sprintf("%s.%d", partButton, i)
				fillButton(bad, key, b, given.take(key))
			}
		default: // a carousel, an offer that ends: parts of which a message here has none
			return "", omni.Problemf(omni.ErrUnsupported, "templates with %s cannot be sent from here", strings.ToLower(strings.ReplaceAll(c.Type, "_", " ")))
		}
	}
	for key := range given {
		bad.unless(false, key, "is no part of this template that can be filled")
	}
	if err := bad.err("the template is not filled in right"); err != nil {
		return "", err
	}
	return strings.Join(lines, "\n"), nil
}

func fillHeader(bad wrong, c component, given omni.TemplateComponent, named bool) string {
	want := map[string]string{
		formatImage: paramImage, formatVideo: paramVideo, formatDocument: paramDocument, formatLocation: paramLocation,
	}[c.Format]
	if want == "" {
		text := fillText(bad, partHeader, c.Text, given.Parameters, named)
		bad.unless(utf8.RuneCountInString(text) <= maxTemplateHeader, partHeader, "must be at most 60 characters when it is filled in")
		return text
	}
	if len(given.Parameters) != 1 || given.Parameters[0].Type != want {
		bad.unless(false, partHeader, "needs one "+want)
		return ""
	}
	p := given.Parameters[0]
	if want == paramLocation {
		bad.unless(p.Location != nil, partHeader, "needs a location")
		return ""
	}
	bad.unless(p.File != nil && string(p.File.Type) == want, partHeader, "needs one "+want)
	if p.File != nil && p.File.ContentType != "" && want != paramDocument { // of an address nothing is known
		k := kinds[contentType(*p.File)]
		bad.unless(string(k.kind) == want, partHeader, "must be JPEG or PNG, and a film MP4 or 3GPP")
		bad.unless(p.File.Size <= k.largest, partHeader, fmt.Sprintf("must be at most %d MB", k.largest>>20))
	}
	return ""
}

// fillText puts parameters into the places of a text.
func fillText(bad wrong, part, text string, given []omni.TemplateParameter, named bool) string {
	names := placeNames(text, named)
	values := map[string]string{}
	for i, p := range given {
		name := p.Name
		if !named {
			name = strconv.Itoa(i + 1)
			bad.unless(p.Name == "", part+"."+name, "must have no name: this template numbers its places")
		}
		key := part + "." + name
		if named && name == "" {
			bad.unless(false, part, "must name each place: this template does")
			continue
		}
		if !slices.Contains(names, name) {
			bad.unless(false, key, "is no place of this template")
			continue
		}
		_, twice := values[name]
		bad.unless(!twice, key, "is filled twice")
		values[name] = fillPlace(bad, key, p)
	}
	for _, name := range names {
		_, ok := values[name]
		bad.unless(ok, part+"."+name, "is required")
	}
	return placePattern.ReplaceAllStringFunc(text, func(s string) string { return values[s[2:len(s)-2]] })
}

// fillPlace checks what fills one place of a text, and gives what is read there.
func fillPlace(bad wrong, key string, p omni.TemplateParameter) string {
	switch p.Type {
	case paramText:
		bad.unless(strings.TrimSpace(p.Text) != "", key, "is required")
		checkParameterText(bad, key, p.Text)
		return p.Text
	case paramCurrency, paramDateTime:
		var v struct {
			Fallback string      `json:"fallback_value"`
			Code     string      `json:"code"`
			Amount   json.Number `json:"amount_1000"`
		}
		err := json.Unmarshal([]byte(p.Value), &v)
		bad.unless(err == nil && v.Fallback != "", key, "must have a fallback_value, which is what the reader sees")
		bad.unless(p.Type != paramCurrency || len(v.Code) == 3 && v.Amount != "", key, "must have a code, such as EUR, and amount_1000")
		checkParameterText(bad, key, v.Fallback)
		return v.Fallback
	default:
		bad.unless(false, key, "must be of type text, currency or date_time")
		return ""
	}
}

func checkParameterText(bad wrong, key, text string) {
	bad.unless(!strings.ContainsAny(text, "\n\r\t"), key, "must have no line breaks and no tabs")
	bad.unless(!strings.Contains(text, strings.Repeat(" ", maxSpaces+1)), key, "must have at most 4 spaces one after the other")
}

func fillButton(bad wrong, key string, b templateButton, given omni.TemplateComponent) {
	var sub, param string // what its place is called; what fills it
	required := false
	switch b.Type {
	case buttonQuickReply:
		sub, param = "quick_reply", paramPayload
	case buttonURL, buttonOTP:
		sub, param = "url", paramText
		required = b.Type == buttonOTP || strings.Contains(b.URL, "{{")
	case buttonCopyCode:
		sub, param, required = "copy_code", paramCoupon, true
	case buttonFlow:
		sub, param = "flow", paramAction
	case buttonCatalog:
		sub, param = "catalog", paramAction
	case buttonProducts:
		sub, param, required = "mpm", paramAction, true
	}
	switch {
	case len(given.Parameters) == 0 && given.Type == "":
		bad.unless(!required, key, "is required")
		return
	case sub == "" || b.Type == buttonURL && !required:
		bad.unless(false, key, "has nothing to fill in")
		return
	}
	bad.unless(given.SubType == sub, key, "must be of subType "+sub)
	if len(given.Parameters) != 1 || given.Parameters[0].Type != param {
		bad.unless(false, key, "needs one parameter of type "+param)
		return
	}
	p := given.Parameters[0]
	switch param {
	case paramPayload:
		bad.unless(p.Text != "" && len(p.Text) <= maxButtonPayload, key, "must be 1 to 256 bytes")
	case paramCoupon:
		bad.unless(p.Text != "" && utf8.RuneCountInString(p.Text) <= maxCouponCode, key, "must be a code of 1 to 15 characters")
	case paramText:
		bad.unless(p.Text != "" && !strings.ContainsAny(p.Text, " \n\r\t"), key, "is required, without white space: it ends an address")
		bad.unless(len(b.URL)+len(p.Text) <= maxButtonURL, key, "makes the address longer than 2000 bytes")
	case paramAction:
		bad.unless(p.Value != "" && p.Value.Valid(), key, "must be a JSON object")
	}
}

// templateFields are what is asked for of a template.
const templateFields = "id,name,language,status,category,components,parameter_format,quality_score,rejected_reason"

const (
	templatesPerPage = 100
	maxTemplatePages = 1000 // an account has 6,000 templates at most
)

// listedTemplate is a template in an answer of Meta's.
type listedTemplate struct {
	ID         text            `json:"id"`
	Name       string          `json:"name"`
	Language   string          `json:"language"`
	Status     text            `json:"status"`
	Category   text            `json:"category"`
	Components json.RawMessage `json:"components"`
	Format     text            `json:"parameter_format"`
	Rejected   text            `json:"rejected_reason"`
	Quality    struct {
		Score text `json:"score"`
	} `json:"quality_score"`
}

// record is the template in our words.
func (l listedTemplate) record() omni.MessageTemplate {
	m := omni.MessageTemplate{
		CarrierID: word(string(l.ID)), Name: l.Name, Language: l.Language, Category: omni.TemplateCategory(upper(l.Category)),
		Status: templateStatus(l.Status), Quality: omni.TemplateQuality(upper(l.Quality.Score)),
		NamedParameters: upper(l.Format) == "NAMED", Components: omni.RawJSON(l.Components),
	}
	if !m.Quality.Valid() {
		m.Quality = omni.QualityUnknown
	}
	if reason := string(upper(l.Rejected)); reason != "NONE" {
		m.RejectedReason = reason
	}
	if m.Components == "" {
		m.Components = "[]"
	}
	return m
}

// templateStatus is a status of Meta's in our words.
func templateStatus(s text) omni.TemplateStatus {
	status := omni.TemplateStatus(upper(s))
	if !status.Valid() {
		return omni.TemplateOther
	}
	return status
}

// Templates implements carriers.TemplateManager. The last page may have a cursor too: what follows it is empty.
func (c *Carrier) Templates(ctx context.Context) ([]omni.MessageTemplate, error) {
	path, err := c.templatesPath()
	if err != nil {
		return nil, err
	}
	var all []omni.MessageTemplate
	after := ""
	for range maxTemplatePages {
		query := url.Values{"fields": {templateFields}, "limit": {strconv.Itoa(templatesPerPage)}}
		if after != "" {
			query.Set("after", after)
		}
		a, err := c.call(ctx, http.MethodGet, path, query, nil)
		if err != nil {
			return nil, Problem(err)
		}
		var page struct {
			Data   []listedTemplate `json:"data"`
			Paging struct {
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
			} `json:"paging"`
		}
		if err := json.Unmarshal(a.Body, &page); err != nil {
			return nil, omni.Problemf(omni.ErrUnavailable, "Meta's list of templates cannot be read; try again later")
		}
		for _, l := range page.Data {
			all = append(all, l.record())
		}
		next := page.Paging.Cursors.After
		if len(page.Data) == 0 || next == "" || next == after {
			return all, nil
		}
		after = next
	}
	return all, nil
}

// templatesPath is where the account's templates are.
func (c *Carrier) templatesPath() (string, error) {
	if c.config.wabaID == "" {
		return "", omni.Problemf(omni.ErrForbidden, "templates need the WhatsApp Business Account ID; an admin has to enter it in the carrier account")
	}
	return "/" + url.PathEscape(c.config.wabaID) + "/message_templates", nil
}

// CreateTemplate implements carriers.TemplateManager.
func (c *Carrier) CreateTemplate(ctx context.Context, t omni.MessageTemplate) (omni.MessageTemplate, error) {
	path, err := c.templatesPath()
	if err != nil {
		return t, err
	}
	format := "POSITIONAL"
	if t.NamedParameters {
		format = "NAMED"
	}
	a, err := c.call(ctx, http.MethodPost, path, nil, map[string]any{
		"name": t.Name, "language": t.Language, "category": t.Category, "parameter_format": format, "components": t.Components,
	})
	if err != nil {
		return t, Problem(err)
	}
	var made listedTemplate
	if err := json.Unmarshal(a.Body, &made); err != nil || made.ID == "" {
		return t, omni.Problemf(omni.ErrUnavailable, "Meta's answer cannot be read; the template may have been made, so have the list read again")
	}
	t.CarrierID, t.Status = word(string(made.ID)), omni.TemplatePending
	if made.Status != "" {
		t.Status = templateStatus(made.Status)
	}
	if category := omni.TemplateCategory(upper(made.Category)); category.Valid() {
		t.Category = category
	}
	return t, nil
}

// DeleteTemplate implements carriers.TemplateManager. By its name alone Meta would remove it in all languages.
func (c *Carrier) DeleteTemplate(ctx context.Context, t omni.MessageTemplate) error {
	path, err := c.templatesPath()
	if err != nil {
		return err
	}
	if t.CarrierID == "" {
		return omni.Problemf(omni.ErrConflict, "Meta's id of this template is not known; have the list read again, then delete it")
	}
	if _, err := c.call(ctx, http.MethodDelete, path, url.Values{"name": {t.Name}, "hsm_id": {t.CarrierID}}, nil); err != nil {
		if g, ok := errors.AsType[*GraphError](err); ok && g.Status == http.StatusNotFound {
			return fmt.Errorf("%w: %w", omni.ErrNotFound, err)
		}
		return Problem(err)
	}
	return nil
}
