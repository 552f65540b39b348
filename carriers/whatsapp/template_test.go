package whatsapp

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

// reminder has every part: a text header with a place, a body with two, a footer and buttons.
const reminder = `[
	{"type":"HEADER","format":"TEXT","text":"Visit {{1}}","example":{"header_text":["tomorrow"]}},
	{"type":"BODY","text":"Habari {{1}}, miadi yako ni {{2}}.","example":{"body_text":[["Amina","saa nne"]]}},
	{"type":"FOOTER","text":"Kliniki"},
	{"type":"BUTTONS","buttons":[
		{"type":"QUICK_REPLY","text":"Confirm"},
		{"type":"URL","text":"Change","url":"https://clinic.example.test/r/{{1}}","example":["https://clinic.example.test/r/1"]},
		{"type":"PHONE_NUMBER","text":"Call","phone_number":"+254700100200"}]}]`

func newTemplate(components string) omni.MessageTemplate {
	return omni.MessageTemplate{
		ID: omni.NewID(), Name: "appointment_reminder", Language: "sw", Category: omni.TemplateUtility, Status: omni.TemplateApproved,
		Components: omni.RawJSON(components),
	}
}

func fields(t *testing.T, err error) map[string]string {
	t.Helper()
	require.ErrorIs(t, err, omni.ErrInvalid)
	var p *omni.Problem
	require.ErrorAs(t, err, &p)
	require.NotEmpty(t, p.Fields)
	return p.Fields
}

func TestCheckTemplateTakesWhatMetaTakes(t *testing.T) {
	t.Parallel()
	authentication := newTemplate(`[{"type":"BODY","add_security_recommendation":true},{"type":"FOOTER","code_expiration_minutes":10},
		{"type":"BUTTONS","buttons":[{"type":"OTP","otp_type":"COPY_CODE"}]}]`)
	authentication.Category = omni.TemplateAuthentication
	named := newTemplate(`[
		{"type":"HEADER","format":"TEXT","text":"For {{customer_name}}","example":{"header_text_named_params":[{"param_name":"customer_name","example":"Amina"}]}},
		{"type":"BODY","text":"Dear {{customer_name}}, {{day_2}} it is.","example":{"body_text_named_params":[
			{"param_name":"day_2","example":"Monday"},{"param_name":"customer_name","example":"Amina"}]}}]`)
	named.NamedParameters = true
	for name, tpl := range map[string]omni.MessageTemplate{
		"all parts":      newTemplate(reminder),
		"body alone":     newTemplate(`[{"type":"BODY","text":"We are closed today."}]`),
		"image header":   newTemplate(`[{"type":"HEADER","format":"IMAGE","example":{"header_handle":["4::aW1hZ2U="]}},{"type":"BODY","text":"Look"}]`),
		"location":       newTemplate(`[{"type":"HEADER","format":"LOCATION"},{"type":"BODY","text":"Here we are"}]`),
		"place twice":    newTemplate(`[{"type":"BODY","text":"Hi {{1}}, yes {{1}} you","example":{"body_text":[["Amina"]]}}]`),
		"authentication": authentication,
		"named":          named,
		"other buttons": newTemplate(`[{"type":"BODY","text":"Choose"},{"type":"BUTTONS","buttons":[
			{"type":"COPY_CODE","example":"SAVE20"},{"type":"FLOW","text":"Fill in","flow_id":123456789012345},{"type":"CATALOG","text":"Shop"},
			{"type":"MPM","text":"Items"},{"type":"VOICE_CALL","text":"Call us"},{"type":"URL","text":"Site","url":"https://example.test"}]}]`),
	} {
		require.NoError(t, checkTemplate(tpl), name)
	}
}

func TestCheckTemplateSaysWhatMetaWouldRefuse(t *testing.T) {
	t.Parallel()
	body := func(text, example string) string {
		return `[{"type":"BODY","text":"` + text + `","example":` + example + `}]`
	}
	header := func(rest string) string { return `[{"type":"HEADER",` + rest + `},{"type":"BODY","text":"x"}]` }
	buttons := func(all ...string) string {
		return `[{"type":"BODY","text":"x"},{"type":"BUTTONS","buttons":[` + strings.Join(all, ",") + `]}]`
	}
	long := func(n int) string { return strings.Repeat("é", n) }
	for _, tt := range []struct {
		name, components, field string
		named                   bool
	}{
		{"no list", `{"type":"BODY"}`, "components", false},
		{"no body", `[{"type":"FOOTER","text":"x"}]`, "components", false},
		{"two bodies", `[{"type":"BODY","text":"x"},{"type":"BODY","text":"y"}]`, "components.1.type", false},
		{"another part", `[{"type":"BODY","text":"x"},{"type":"CAROUSEL"}]`, "components.1.type", false},
		{"empty body", body("", "{}"), "components.0.text", false},
		{"long body", body(long(1025), "{}"), "components.0.text", false},
		{"gap", body("a {{1}} b {{3}} c", `{"body_text":[["x","y"]]}`), "components.0.text", false},
		{"from zero", body("a {{0}} b", `{"body_text":[["x"]]}`), "components.0.text", false},
		{"name in a numbered one", body("a {{name}} b", `{"body_text":[["x"]]}`), "components.0.text", false},
		{"number in a named one", body("a {{1}} b", `{"body_text_named_params":[{"param_name":"1","example":"x"}]}`), "components.0.text", true},
		{"upper case name", body("a {{Name}} b", `{"body_text_named_params":[{"param_name":"Name","example":"x"}]}`), "components.0.text", true},
		{"place not closed", body("a {{1 b", `{"body_text":[["x"]]}`), "components.0.text", false},
		{"place at the start", body("{{1}} b", `{"body_text":[["x"]]}`), "components.0.text", false},
		{"place at the end", body("a {{1}}", `{"body_text":[["x"]]}`), "components.0.text", false},
		{"places that touch", body("a {{1}}{{2}} b", `{"body_text":[["x","y"]]}`), "components.0.text", false},
		{"no example", body("a {{1}} b", `{}`), "components.0.example.body_text", false},
		{"empty example", body("a {{1}} b", `{"body_text":[[""]]}`), "components.0.example.body_text", false},
		{"too few examples", body("a {{1}} b {{2}} c", `{"body_text":[["x"]]}`), "components.0.example.body_text", false},
		{"example of another name", body("a {{name}} b", `{"body_text_named_params":[{"param_name":"other","example":"x"}]}`), "components.0.example.body_text_named_params", true},
		{"no named example", body("a {{name}} b", `{}`), "components.0.example.body_text_named_params", true},
		{"header without format", header(`"text":"x"`), "components.0.format", false},
		{"empty header", header(`"format":"TEXT"`), "components.0.text", false},
		{"long header", header(`"format":"TEXT","text":"` + long(61) + `"`), "components.0.text", false},
		{"two places in a header", header(`"format":"TEXT","text":"{{1}} {{2}}","example":{"header_text":["a","b"]}`), "components.0.text", false},
		{"header place without example", header(`"format":"TEXT","text":"x {{1}}"`), "components.0.example.header_text", false},
		{"named header place without example", header(`"format":"TEXT","text":"x {{a}}"`), "components.0.example.header_text_named_params", true},
		{"image without sample", header(`"format":"IMAGE"`), "components.0.example.header_handle", false},
		{"text beside an image", header(`"format":"IMAGE","text":"x","example":{"header_handle":["h"]}`), "components.0.text", false},
		{"text beside a location", header(`"format":"LOCATION","text":"x"`), "components.0.text", false},
		{"long footer", `[{"type":"BODY","text":"x"},{"type":"FOOTER","text":"` + long(61) + `"}]`, "components.1.text", false},
		{"empty footer", `[{"type":"BODY","text":"x"},{"type":"FOOTER"}]`, "components.1.text", false},
		{"place in a footer", `[{"type":"BODY","text":"x"},{"type":"FOOTER","text":"a {{1}}"}]`, "components.1.text", false},
		{"no buttons", buttons(), "components.1.buttons", false},
		{"eleven buttons", buttons(strings.Split(strings.TrimSuffix(strings.Repeat(`{"type":"QUICK_REPLY","text":"x"};`, 11), ";"), ";")...), "components.1.buttons", false},
		{"another button", buttons(`{"type":"POSTBACK","text":"x"}`), "components.1.buttons.0.type", false},
		{"long button", buttons(`{"type":"QUICK_REPLY","text":"` + long(26) + `"}`), "components.1.buttons.0.text", false},
		{"button without text", buttons(`{"type":"QUICK_REPLY"}`), "components.1.buttons.0.text", false},
		{"place in a button", buttons(`{"type":"QUICK_REPLY","text":"a {{1}}"}`), "components.1.buttons.0.text", false},
		{"long text of a code", buttons(`{"type":"OTP","otp_type":"COPY_CODE","text":"` + long(26) + `"}`), "components.1.buttons.0.text", false},
		{"no address", buttons(`{"type":"URL","text":"x","url":"clinic"}`), "components.1.buttons.0.url", false},
		{"place in the middle of an address", buttons(`{"type":"URL","text":"x","url":"https://a.test/{{1}}/b","example":["u"]}`), "components.1.buttons.0.url", false},
		{"place of an address without example", buttons(`{"type":"URL","text":"x","url":"https://a.test/{{1}}"}`), "components.1.buttons.0.example", false},
		{"no phone number", buttons(`{"type":"PHONE_NUMBER","text":"x","phone_number":"call us"}`), "components.1.buttons.0.phone_number", false},
		{"code without example", buttons(`{"type":"COPY_CODE"}`), "components.1.buttons.0.example", false},
		{"long code", buttons(`{"type":"COPY_CODE","example":"1234567890123456"}`), "components.1.buttons.0.example", false},
		{"another one-time password", buttons(`{"type":"OTP","otp_type":"GUESS"}`), "components.1.buttons.0.otp_type", false},
		{"no flow", buttons(`{"type":"FLOW","text":"x"}`), "components.1.buttons.0.flow_id", false},
	} {
		tpl := newTemplate(tt.components)
		tpl.NamedParameters = tt.named
		got := fields(t, checkTemplate(tpl))
		require.Len(t, got, 1, "%s: %v", tt.name, got)
		require.Contains(t, got, tt.field, tt.name)
	}

	for field, change := range map[string]func(*omni.MessageTemplate){
		"name":     func(m *omni.MessageTemplate) { m.Name = "Appointment" },
		"language": func(m *omni.MessageTemplate) { m.Language = "English" },
		"category": func(m *omni.MessageTemplate) { m.Category = "SPAM" },
	} {
		tpl := newTemplate(reminder)
		change(&tpl)
		require.Contains(t, fields(t, checkTemplate(tpl)), field)
	}
	footer := newTemplate(`[{"type":"BODY"},{"type":"FOOTER","code_expiration_minutes":91}]`)
	footer.Category = omni.TemplateAuthentication
	require.Contains(t, fields(t, checkTemplate(footer)), "components.1.code_expiration_minutes")
}

func texts(values ...string) []omni.TemplateParameter {
	all := make([]omni.TemplateParameter, 0, len(values))
	for _, v := range values {
		all = append(all, omni.TemplateParameter{Type: "text", Text: v})
	}
	return all
}

func filled(components ...omni.TemplateComponent) omni.TemplateMessage {
	return omni.TemplateMessage{Name: "appointment_reminder", Language: "sw", Components: components}
}

var (
	headerFilled = omni.TemplateComponent{Type: "header", Parameters: texts("kesho")}
	bodyFilled   = omni.TemplateComponent{Type: "body", Parameters: texts("Amina", "saa nne")}
	urlFilled    = omni.TemplateComponent{Type: "button", SubType: "url", Index: 1, Parameters: texts("5521")}
	replyFilled  = omni.TemplateComponent{Type: "button", SubType: "quick_reply", Index: 0, Parameters: []omni.TemplateParameter{{Type: "payload", Text: "CONFIRM_5521"}}}
)

func TestFillTemplateGivesWhatItsReaderSees(t *testing.T) {
	t.Parallel()
	const want = "Visit kesho\nHabari Amina, miadi yako ni saa nne.\nKliniki"
	got, err := fillTemplate(newTemplate(reminder), filled(headerFilled, bodyFilled, urlFilled))
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = fillTemplate(newTemplate(reminder), filled(replyFilled, bodyFilled, urlFilled, headerFilled))
	require.NoError(t, err, "in any order, with what a quick reply carries")
	require.Equal(t, want, got)

	named := newTemplate(`[{"type":"BODY","text":"Dear {{name}}, {{day}} it is, {{name}}."}]`)
	named.NamedParameters = true
	got, err = fillTemplate(named, filled(omni.TemplateComponent{Type: "body", Parameters: []omni.TemplateParameter{
		{Type: "text", Name: "day", Text: "Monday"}, {Type: "text", Name: "name", Text: "Amina {{day}}"},
	}}))
	require.NoError(t, err)
	require.Equal(t, "Dear Amina {{day}}, Monday it is, Amina {{day}}.", got, "what fills a place is not looked into")

	amount := newTemplate(`[{"type":"BODY","text":"You owe {{1}} by {{2}}."}]`)
	got, err = fillTemplate(amount, filled(omni.TemplateComponent{Type: "body", Parameters: []omni.TemplateParameter{
		{Type: "currency", Value: `{"fallback_value":"KES 100","code":"KES","amount_1000":100000}`},
		{Type: "date_time", Value: `{"fallback_value":"Monday"}`},
	}}))
	require.NoError(t, err)
	require.Equal(t, "You owe KES 100 by Monday.", got)

	file := func(kind omni.MediaType) *omni.MediaReference {
		return &omni.MediaReference{Type: kind, State: omni.MediaReady, External: omni.ExternalRef{URL: "https://files.example.test/1"}}
	}
	for format, p := range map[string]omni.TemplateParameter{
		"IMAGE":    {Type: "image", File: file(omni.MediaImage)},
		"VIDEO":    {Type: "video", File: file(omni.MediaVideo)},
		"DOCUMENT": {Type: "document", File: file(omni.MediaDocument)},
		"LOCATION": {Type: "location", Location: &omni.Location{Latitude: -1.28, Longitude: 36.8}},
	} {
		tpl := newTemplate(`[{"type":"HEADER","format":"` + format + `"},{"type":"BODY","text":"Look"}]`)
		got, err = fillTemplate(tpl, filled(omni.TemplateComponent{Type: "header", Parameters: []omni.TemplateParameter{p}}))
		require.NoError(t, err, format)
		require.Equal(t, "Look", got)
		_, err = fillTemplate(tpl, filled())
		require.Contains(t, fields(t, err), "header", format)
		p.File, p.Location = nil, nil
		_, err = fillTemplate(tpl, filled(omni.TemplateComponent{Type: "header", Parameters: []omni.TemplateParameter{p}}))
		require.Contains(t, fields(t, err), "header", format)
	}

	uploaded := func(kind omni.MediaType, contentType string, size int64) omni.TemplateParameter {
		return omni.TemplateParameter{Type: string(kind), File: &omni.MediaReference{Type: kind, ContentType: contentType, Size: size, State: omni.MediaReady}}
	}
	for name, c := range map[string]struct {
		format string
		file   omni.TemplateParameter
		want   string
	}{
		"a picture":         {"IMAGE", uploaded(omni.MediaImage, "image/png", maxImage), ""},
		"a large picture":   {"IMAGE", uploaded(omni.MediaImage, "image/png", maxImage+1), "must be at most 5 MB"},
		"another picture":   {"IMAGE", uploaded(omni.MediaImage, "image/gif", 1), "must be JPEG or PNG, and a film MP4 or 3GPP"},
		"a sticker":         {"IMAGE", uploaded(omni.MediaImage, "image/webp", 1), "must be JPEG or PNG, and a film MP4 or 3GPP"},
		"a film":            {"VIDEO", uploaded(omni.MediaVideo, "video/mp4", maxVideo), ""},
		"another film":      {"VIDEO", uploaded(omni.MediaVideo, "video/webm", 1), "must be JPEG or PNG, and a film MP4 or 3GPP"},
		"a paper":           {"DOCUMENT", uploaded(omni.MediaDocument, "application/pdf", maxVideo+1), ""},
		"a film as picture": {"IMAGE", uploaded(omni.MediaVideo, "video/mp4", 1), "needs one image"},
	} {
		tpl := newTemplate(`[{"type":"HEADER","format":"` + c.format + `"},{"type":"BODY","text":"Look"}]`)
		_, err = fillTemplate(tpl, filled(omni.TemplateComponent{Type: "header", Parameters: []omni.TemplateParameter{c.file}}))
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, map[string]string{"header": c.want}, fields(t, err), name)
	}

	others := newTemplate(`[{"type":"BODY","text":"Choose"},{"type":"BUTTONS","buttons":[
		{"type":"COPY_CODE"},{"type":"FLOW","text":"Fill in"},{"type":"CATALOG"},{"type":"MPM"},{"type":"OTP"},{"type":"VOICE_CALL","text":"Call"}]}]`)
	_, err = fillTemplate(others, filled())
	require.Equal(t, map[string]string{"button.0": "is required", "button.3": "is required", "button.4": "is required"}, fields(t, err))
	button := func(index int, sub string, p omni.TemplateParameter) omni.TemplateComponent {
		return omni.TemplateComponent{Type: "button", SubType: sub, Index: index, Parameters: []omni.TemplateParameter{p}}
	}
	_, err = fillTemplate(others, filled(
		button(0, "copy_code", omni.TemplateParameter{Type: "coupon_code", Text: "SAVE20"}),
		button(1, "flow", omni.TemplateParameter{Type: "action", Value: `{"flow_token":"t"}`}),
		button(2, "catalog", omni.TemplateParameter{Type: "action", Value: `{"thumbnail_product_retailer_id":"1"}`}),
		button(3, "mpm", omni.TemplateParameter{Type: "action", Value: `{"sections":[]}`}),
		button(4, "url", omni.TemplateParameter{Type: "text", Text: "123456"})))
	require.NoError(t, err)
}

func TestFillTemplateSaysWhichPlaceIsWrong(t *testing.T) {
	t.Parallel()
	bodyOf := func(values ...string) omni.TemplateComponent {
		return omni.TemplateComponent{Type: "body", Parameters: texts(values...)}
	}
	buttonOf := func(index int, sub, kind, text string) omni.TemplateComponent {
		return omni.TemplateComponent{Type: "button", SubType: sub, Index: index, Parameters: []omni.TemplateParameter{{Type: kind, Text: text}}}
	}
	withName := bodyOf("Amina", "saa nne")
	withName.Parameters[0].Name = "customer"
	for _, tt := range []struct {
		name  string
		with  []omni.TemplateComponent // besides header, body and button that are right
		field string
	}{
		{"too few", []omni.TemplateComponent{bodyOf("Amina")}, "body.2"},
		{"too many", []omni.TemplateComponent{bodyOf("Amina", "saa nne", "x")}, "body.3"},
		{"empty", []omni.TemplateComponent{bodyOf("Amina", " ")}, "body.2"},
		{"line break", []omni.TemplateComponent{bodyOf("Amina\nOtieno", "saa nne")}, "body.1"},
		{"carriage return", []omni.TemplateComponent{bodyOf("Amina\rOtieno", "saa nne")}, "body.1"},
		{"tab", []omni.TemplateComponent{bodyOf("Amina\tOtieno", "saa nne")}, "body.1"},
		{"five spaces", []omni.TemplateComponent{bodyOf("Amina     Otieno", "saa nne")}, "body.1"},
		{"too long", []omni.TemplateComponent{bodyOf("Amina", strings.Repeat("x", 1024))}, "body"},
		{"a name in a numbered one", []omni.TemplateComponent{withName}, "body.1"},
		{"an image in a text", []omni.TemplateComponent{{Type: "body", Parameters: append(texts("Amina"), omni.TemplateParameter{Type: "image"})}}, "body.2"},
		{"a sum without its text", []omni.TemplateComponent{{Type: "body", Parameters: append(texts("Amina"), omni.TemplateParameter{Type: "currency", Value: `{}`})}}, "body.2"},
		{"a sum without its code", []omni.TemplateComponent{{Type: "body", Parameters: append(texts("Amina"), omni.TemplateParameter{Type: "currency", Value: `{"fallback_value":"1"}`})}}, "body.2"},
		{"long header", []omni.TemplateComponent{{Type: "header", Parameters: texts(strings.Repeat("x", 60))}}, "header"},
		{"no button", []omni.TemplateComponent{{Type: "button", Index: 1}}, "button.1"},
		{"button of another kind", []omni.TemplateComponent{buttonOf(1, "quick_reply", "text", "5521")}, "button.1"},
		{"parameter of another kind", []omni.TemplateComponent{buttonOf(1, "url", "payload", "5521")}, "button.1"},
		{"white space in an address", []omni.TemplateComponent{buttonOf(1, "url", "text", "a b")}, "button.1"},
		{"long address", []omni.TemplateComponent{buttonOf(1, "url", "text", strings.Repeat("x", 2000))}, "button.1"},
		{"nothing behind a quick reply", []omni.TemplateComponent{buttonOf(0, "quick_reply", "payload", "")}, "button.0"},
		{"a button that has no place", []omni.TemplateComponent{buttonOf(2, "url", "text", "x")}, "button.2"},
		{"a button that is not there", []omni.TemplateComponent{buttonOf(3, "url", "text", "x")}, "button.3"},
	} {
		parts := map[string]omni.TemplateComponent{"header": headerFilled, "body": bodyFilled, "button1": urlFilled}
		for _, c := range tt.with {
			key := c.Type
			if c.Type == "button" {
				key += string(rune('0' + c.Index))
			}
			parts[key] = c
		}
		var all []omni.TemplateComponent
		for _, c := range parts {
			all = append(all, c)
		}
		_, err := fillTemplate(newTemplate(reminder), filled(all...))
		got := fields(t, err)
		require.Len(t, got, 1, "%s: %v", tt.name, got)
		require.Contains(t, got, tt.field, tt.name)
	}

	_, err := fillTemplate(newTemplate(reminder), filled(headerFilled, bodyFilled, bodyFilled, urlFilled))
	require.Contains(t, fields(t, err), "body")
	other := filled(headerFilled, bodyFilled, urlFilled)
	other.Language = "en"
	_, err = fillTemplate(newTemplate(reminder), other)
	require.Contains(t, fields(t, err), "name")

	named := newTemplate(`[{"type":"BODY","text":"Dear {{name}}, hello."}]`)
	named.NamedParameters = true
	namedParam := func(name string) omni.TemplateParameter {
		return omni.TemplateParameter{Type: "text", Name: name, Text: "x"}
	}
	for name, ps := range map[string][]omni.TemplateParameter{
		"body": {namedParam("name"), namedParam("")}, "body.other": {namedParam("name"), namedParam("other")},
		"body.name": {namedParam("name"), namedParam("name")},
	} {
		_, err = fillTemplate(named, filled(omni.TemplateComponent{Type: "body", Parameters: ps}))
		require.Contains(t, fields(t, err), name)
	}

	_, err = fillTemplate(newTemplate(`[{"type":"BODY","text":"x"},{"type":"CAROUSEL","cards":[]}]`), filled())
	require.ErrorIs(t, err, omni.ErrUnsupported)
	_, err = fillTemplate(newTemplate(`"x"`), filled())
	require.Error(t, err)
	require.Equal(t, omni.CodeInternal, omni.CodeOf(err))
	_, err = fillTemplate(newTemplate(`[{"type":"BODY","text":"x"},{"type":"BUTTONS","buttons":[{"type":"COPY_CODE"}]}]`),
		filled(buttonOf(0, "copy_code", "coupon_code", "1234567890123456")))
	require.Contains(t, fields(t, err), "button.0")
	_, err = fillTemplate(newTemplate(`[{"type":"BODY","text":"x"},{"type":"BUTTONS","buttons":[{"type":"MPM"}]}]`),
		filled(buttonOf(0, "mpm", "action", "")))
	require.Contains(t, fields(t, err), "button.0")
}

// graph is a Graph API that answers in order, and what it was called with.
func graph(t *testing.T, config map[string]string, answers ...string) (carriers.TemplateManager, func() []string) {
	t.Helper()
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer TOKEN-CANARY" || len(calls) >= len(answers) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		status, answer, _ := strings.Cut(answers[len(calls)], " ")
		calls = append(calls, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
		code := http.StatusOK
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	c, err := (&Provider{}).Open(carriers.Account{Config: config, Credentials: map[string][]omni.Secret{
		appSecret: {omni.NewSecret("0123456789abcdef0123456789abcdef")}, verifyToken: {omni.NewSecret("verify")}, accessToken: {omni.NewSecret("TOKEN-CANARY")},
	}}, carriers.Options{WebhookURL: "https://gw.example.test/webhooks/whatsapp/x", HTTP: server.Client(), APIBase: server.URL})
	require.NoError(t, err)
	m, ok := c.(carriers.TemplateManager)
	require.True(t, ok)
	return m, func() []string { return calls }
}

var business = map[string]string{wabaID: "220000000000031", apiVersion: "v26.0"}

func TestTemplatesAreReadPageByPage(t *testing.T) {
	t.Parallel()
	m, calls := graph(t, business,
		`200 {"data":[{"id":1400000000000000021,"name":"appointment_reminder","language":"sw","status":"APPROVED","category":"UTILITY",
			"components":[{"type":"BODY","text":"Habari"}],"parameter_format":"NAMED","quality_score":{"score":"GREEN","date":1},"rejected_reason":"NONE"}],
			"paging":{"cursors":{"before":"A","after":"B=="},"next":"https://graph.facebook.com/next"}}`,
		`200 {"data":[{"id":"22","name":"promo_june","language":"en","status":"FROZEN","category":"MARKETING","rejected_reason":"PROMOTIONAL"}],
			"paging":{"cursors":{"before":"B==","after":"C"}}}`,
		`200 {"data":[]}`)
	all, err := m.Templates(t.Context())
	require.NoError(t, err)
	require.Equal(t, []omni.MessageTemplate{
		{
			CarrierID: "1400000000000000021", Name: "appointment_reminder", Language: "sw", Category: omni.TemplateUtility, Status: omni.TemplateApproved,
			Quality: omni.QualityGreen, NamedParameters: true, Components: `[{"type":"BODY","text":"Habari"}]`,
		},
		{
			CarrierID: "22", Name: "promo_june", Language: "en", Category: omni.TemplateMarketing, Status: omni.TemplateOther,
			Quality: omni.QualityUnknown, Components: "[]", RejectedReason: "PROMOTIONAL",
		},
	}, all)
	const list = "GET /v26.0/220000000000031/message_templates?"
	const fields = "fields=id%2Cname%2Clanguage%2Cstatus%2Ccategory%2Ccomponents%2Cparameter_format%2Cquality_score%2Crejected_reason&limit=100"
	require.Equal(t, []string{list + fields, list + "after=B%3D%3D&" + fields, list + "after=C&" + fields}, calls())
}

func TestTemplatesAreMadeAndRemoved(t *testing.T) {
	t.Parallel()
	m, calls := graph(t, business, `200 {"id":"572279198452421","status":"PENDING","category":"MARKETING"}`, `200 {"success":true}`,
		`200 {"id":"5"}`, `404 {"error":{"code":100,"message":"(#100) not found"}}`)
	tpl := newTemplate(`[{"type":"BODY","text":"Karibu"}]`)
	made, err := m.CreateTemplate(t.Context(), tpl)
	require.NoError(t, err)
	require.Equal(t, "572279198452421", made.CarrierID)
	require.Equal(t, omni.TemplatePending, made.Status)
	require.Equal(t, omni.TemplateMarketing, made.Category, "Meta thinks that it is")
	require.NoError(t, m.DeleteTemplate(t.Context(), made))
	tpl.NamedParameters = true
	made, err = m.CreateTemplate(t.Context(), tpl)
	require.NoError(t, err)
	require.Equal(t, omni.TemplatePending, made.Status)
	require.Equal(t, omni.TemplateUtility, made.Category)
	require.ErrorIs(t, m.DeleteTemplate(t.Context(), made), omni.ErrNotFound)

	got := calls()
	require.Equal(t, "DELETE /v26.0/220000000000031/message_templates?hsm_id=572279198452421&name=appointment_reminder", got[1])
	for i, format := range map[int]string{0: "POSITIONAL", 2: "NAMED"} {
		body, ok := strings.CutPrefix(got[i], "POST /v26.0/220000000000031/message_templates ")
		require.True(t, ok, got[i])
		require.JSONEq(t, `{"name":"appointment_reminder","language":"sw","category":"UTILITY","parameter_format":"`+format+`",
			"components":[{"type":"BODY","text":"Karibu"}]}`, body)
	}
}

func TestTemplateFailuresSayWhatToDo(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(`[{"type":"BODY","text":"Karibu"}]`)
	tpl.CarrierID = "1"
	for answer, kind := range map[string]error{
		`400 {"error":{"code":100,"message":"(#100) Invalid parameter","error_user_msg":"The name is taken."}}`: omni.ErrInvalid,
		`401 {"error":{"code":190,"message":"token expired"}}`:                                                  omni.ErrForbidden,
		`403 {"error":{"code":200,"message":"no permission"}}`:                                                  omni.ErrForbidden,
		`429 {"error":{"code":80007,"message":"limit"}}`:                                                        omni.ErrRateLimited,
		`500 {"error":{"code":2,"message":"down"}}`:                                                             omni.ErrUnavailable,
		`502 <html>`:   omni.ErrUnavailable,
		`200 not JSON`: omni.ErrUnavailable,
	} {
		m, _ := graph(t, business, answer, answer, answer)
		_, err := m.Templates(t.Context())
		require.ErrorIs(t, err, kind, answer)
		require.NotContains(t, err.Error(), "CANARY")
		_, err = m.CreateTemplate(t.Context(), tpl)
		require.ErrorIs(t, err, kind, answer)
		var p *omni.Problem
		require.ErrorAs(t, err, &p)
		if !strings.HasPrefix(answer, "200") {
			require.ErrorIs(t, m.DeleteTemplate(t.Context(), tpl), kind, answer)
		}
		if strings.Contains(answer, "taken") {
			require.Contains(t, p.Message, "The name is taken.")
		}
	}

	m, calls := graph(t, nil)
	_, err := m.Templates(t.Context())
	require.ErrorIs(t, err, omni.ErrForbidden, "nobody told which account it is")
	_, err = m.CreateTemplate(t.Context(), tpl)
	require.ErrorIs(t, err, omni.ErrForbidden)
	require.ErrorIs(t, m.DeleteTemplate(t.Context(), tpl), omni.ErrForbidden)
	require.Empty(t, calls())
	m, calls = graph(t, business)
	tpl.CarrierID = ""
	require.ErrorIs(t, m.DeleteTemplate(t.Context(), tpl), omni.ErrConflict, "by name alone all languages would go")
	require.Empty(t, calls())
	require.NoError(t, m.CheckTemplate(tpl))
	text, err := m.FillTemplate(tpl, omni.TemplateMessage{Name: tpl.Name, Language: tpl.Language})
	require.NoError(t, err)
	require.Equal(t, "Karibu", text)
}

func TestExampleTemplatesAreWhatMetaTakes(t *testing.T) {
	t.Parallel()
	usable := 0
	for _, tpl := range ExampleTemplates() {
		require.NoError(t, checkTemplate(tpl), tpl.Name)
		if tpl.Usable() {
			usable++
		}
	}
	require.Equal(t, 4, usable)
}

func TestPlayedPhoneReadsTemplates(t *testing.T) {
	t.Parallel()
	text := func(all ...string) (list []map[string]any) {
		for _, s := range all {
			list = append(list, map[string]any{"type": "text", "text": s})
		}
		return list
	}
	known := ExampleTemplates()
	require.Equal(t, "Your order A-1\nHello Maria, your order is on its way and will be with you today.\nDemo shop", readTemplate(MessageTemplate{
		Name: "order_update", Language: TemplateLanguage{"en_US"},
		Components: []TemplateComponent{{Type: "header", Parameters: text("A-1")}, {Type: "body", Parameters: text("Maria", "today")}},
	}, known))
	named := text("10:30", "Maria", "Monday")
	for i, name := range []string{"time", "name", "day"} {
		named[i]["parameter_name"] = name
	}
	require.Equal(t, "Hello Maria, we expect you on Monday at 10:30.", readTemplate(MessageTemplate{
		Name: "appointment_reminder", Language: TemplateLanguage{"en_US"}, Components: []TemplateComponent{{Type: "body", Parameters: named}},
	}, known))
	require.Empty(t, readTemplate(MessageTemplate{Name: "order_update", Language: TemplateLanguage{"fr"}}, known))
}
