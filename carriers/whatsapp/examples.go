package whatsapp

import (
	"strconv"
	"strings"

	"omniservice/omni"
)

// ExampleTemplates are the templates of the account that is played: of each kind that an agent meets, those included that
// cannot be sent.
func ExampleTemplates() []omni.MessageTemplate {
	of := func(id, name, language string, category omni.TemplateCategory, components omni.RawJSON) omni.MessageTemplate {
		return omni.MessageTemplate{
			CarrierID: id, Name: name, Language: language, Category: category,
			Status: omni.TemplateApproved, Quality: omni.QualityGreen, Components: components,
		}
	}
	named := of("1500000000000003", "appointment_reminder", "en_US", omni.TemplateUtility, `[
		{"type":"BODY","text":"Hello {{name}}, we expect you on {{day}} at {{time}}.","example":{"body_text_named_params":[
			{"param_name":"name","example":"Maria"},{"param_name":"day","example":"Monday"},{"param_name":"time","example":"10:30"}]}},
		{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"I will be there"},{"type":"QUICK_REPLY","text":"Another time"}]}]`)
	named.NamedParameters = true
	pending := of("1500000000000005", "spring_sale", "en_US", omni.TemplateMarketing,
		`[{"type":"BODY","text":"Everything is a quarter cheaper until Sunday."},{"type":"FOOTER","text":"Answer STOP to hear no more of this"}]`)
	pending.Status, pending.Quality = omni.TemplatePending, omni.QualityUnknown
	rejected := of("1500000000000006", "you_have_won", "en_US", omni.TemplateMarketing, `[{"type":"BODY","text":"You have won {{1}}!","example":{"body_text":[["a car"]]}}]`)
	rejected.Status, rejected.Quality, rejected.RejectedReason = omni.TemplateRejected, omni.QualityUnknown, "PROMOTIONAL"
	return []omni.MessageTemplate{
		of("1500000000000001", "order_update", "en_US", omni.TemplateUtility, `[
			{"type":"HEADER","format":"TEXT","text":"Your order {{1}}","example":{"header_text":["A-1042"]}},
			{"type":"BODY","text":"Hello {{1}}, your order is on its way and will be with you {{2}}.","example":{"body_text":[["Maria","tomorrow"]]}},
			{"type":"FOOTER","text":"Demo shop"},
			{"type":"BUTTONS","buttons":[{"type":"URL","text":"Follow it","url":"https://shop.example/orders/{{1}}","example":["https://shop.example/orders/A-1042"]}]}]`),
		of("1500000000000002", "order_update", "de", omni.TemplateUtility, `[
			{"type":"HEADER","format":"TEXT","text":"Ihre Bestellung {{1}}","example":{"header_text":["A-1042"]}},
			{"type":"BODY","text":"Guten Tag {{1}}, Ihre Bestellung ist unterwegs und kommt {{2}} an.","example":{"body_text":[["Jonas","morgen"]]}},
			{"type":"FOOTER","text":"Demo-Shop"},
			{"type":"BUTTONS","buttons":[{"type":"URL","text":"Verfolgen","url":"https://shop.example/orders/{{1}}","example":["https://shop.example/orders/A-1042"]}]}]`),
		named,
		of("1500000000000004", "new_in_the_shop", "en_US", omni.TemplateMarketing, `[
			{"type":"HEADER","format":"IMAGE","example":{"header_handle":["https://shop.example/new.jpg"]}},
			{"type":"BODY","text":"New this week: {{1}}.","example":{"body_text":[["garden chairs"]]}},
			{"type":"FOOTER","text":"Answer STOP to hear no more of this"}]`),
		pending, rejected,
	}
}

// readTemplate is what the recipient of a template reads: the texts of its parts with their places filled in. It is "" for one
// that is not among the known.
func readTemplate(sent MessageTemplate, known []omni.MessageTemplate) string {
	var lines []string
	for _, t := range known {
		if t.Name != sent.Name || t.Language != sent.Language.Code {
			continue
		}
		var parts []component
		if lenient([]byte(t.Components), &parts) != nil {
			return ""
		}
		for _, part := range parts {
			if part.Text == "" {
				continue
			}
			values := map[string]string{}
			for _, c := range sent.Components {
				if strings.ToUpper(c.Type) != part.Type {
					continue
				}
				for i, p := range c.Parameters {
					name, ok := p["parameter_name"].(string)
					if !ok {
						name = strconv.Itoa(i + 1)
					}
					values[name], _ = p["text"].(string)
				}
			}
			lines = append(lines, placePattern.ReplaceAllStringFunc(part.Text, func(s string) string { return values[s[2:len(s)-2]] }))
		}
	}
	return strings.Join(lines, "\n")
}
