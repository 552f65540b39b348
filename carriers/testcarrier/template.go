package testcarrier

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"omniservice/omni"
)

// builtIn are the templates that every account has from the start, so that there is something to choose in a demonstration.
func builtIn() []omni.MessageTemplate {
	return []omni.MessageTemplate{
		{
			CarrierID: "1", Name: "appointment_reminder", Language: "en_US", Category: omni.TemplateUtility,
			Status: omni.TemplateApproved, Quality: omni.QualityGreen,
			Components: `[{"type":"HEADER","format":"TEXT","text":"Your appointment"},` +
				`{"type":"BODY","text":"Hello {{1}}, we expect you on {{2}}.","example":{"body_text":[["Maria","Monday at 10"]]}},` +
				`{"type":"FOOTER","text":"Reply to change it"},` +
				`{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Confirm"},{"type":"QUICK_REPLY","text":"Cancel"}]}]`,
		},
		{
			CarrierID: "2", Name: "summer_offer", Language: "en_US", Category: omni.TemplateMarketing,
			Status: omni.TemplateApproved, Quality: omni.QualityYellow,
			Components: `[{"type":"BODY","text":"Hi {{1}}, this week everything is {{2}} % cheaper.","example":{"body_text":[["Maria","20"]]}}]`,
		},
		{
			CarrierID: "3", Name: "way_to_us", Language: "en_US", Category: omni.TemplateUtility,
			Status: omni.TemplateApproved, Quality: omni.QualityGreen,
			Components: `[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"This is the way to us, {{1}}.","example":{"body_text":[["Maria"]]}}]`,
		},
	}
}

// templatePart is a part of a template, written as WhatsApp does. Only the places of a body can be filled here, and a header
// that is a file.
type templatePart struct {
	Type   string `json:"type"`
	Format string `json:"format"`
	Text   string `json:"text"`
}

// file is the kind of file that the part is, "" if it is none.
func (p templatePart) file() string {
	if p.Type == "HEADER" && slices.Contains([]string{"IMAGE", "VIDEO", "DOCUMENT"}, p.Format) {
		return strings.ToLower(p.Format)
	}
	return ""
}

var placePattern = regexp.MustCompile(`\{\{(\d+)\}\}`)

// Templates implements carriers.TemplateManager.
func (c *Carrier) Templates(ctx context.Context) ([]omni.MessageTemplate, error) {
	c.provider.mu.Lock()
	defer c.provider.mu.Unlock()
	return slices.Clone(c.provider.account(c.accountID).templates), ctx.Err()
}

// CheckTemplate implements carriers.TemplateManager.
func (*Carrier) CheckTemplate(t omni.MessageTemplate) error {
	var parts []templatePart
	err := json.Unmarshal([]byte(t.Components), &parts)
	if err == nil && !t.NamedParameters && slices.ContainsFunc(parts, func(p templatePart) bool { return p.Type == "BODY" && p.Text != "" }) {
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "the template is not valid")
	p.Fields = map[string]string{"components": "must have a BODY with a text, and number its places: {{1}}"}
	return p
}

// CreateTemplate implements carriers.TemplateManager. Nobody reviews it: it is approved at once.
func (c *Carrier) CreateTemplate(ctx context.Context, t omni.MessageTemplate) (omni.MessageTemplate, error) {
	p := c.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(c.accountID)
	if a.findTemplate(t) >= 0 {
		return t, omni.Problemf(omni.ErrInvalid, "there is a template of that name in that language")
	}
	a.madeTemplates++
	t.CarrierID, t.Status, t.Quality = strconv.Itoa(100+a.madeTemplates), omni.TemplateApproved, omni.QualityUnknown
	a.templates = append(a.templates, omni.MessageTemplate{
		CarrierID: t.CarrierID, Name: t.Name, Language: t.Language, Category: t.Category, Status: t.Status, Quality: t.Quality, Components: t.Components,
	})
	return t, ctx.Err()
}

// DeleteTemplate implements carriers.TemplateManager.
func (c *Carrier) DeleteTemplate(ctx context.Context, t omni.MessageTemplate) error {
	p := c.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account(c.accountID)
	i := a.findTemplate(t)
	if i < 0 {
		return omni.Problemf(omni.ErrNotFound, "there is no such template")
	}
	a.templates = slices.Delete(a.templates, i, i+1)
	return ctx.Err()
}

// FillTemplate implements carriers.TemplateManager.
func (*Carrier) FillTemplate(t omni.MessageTemplate, m omni.TemplateMessage) (string, error) {
	var parts []templatePart
	if err := json.Unmarshal([]byte(t.Components), &parts); err != nil {
		return "", fmt.Errorf("read template %s: %w", t.ID, err)
	}
	bad := map[string]string{}
	var values []omni.TemplateParameter
	var header []omni.TemplateParameter
	given, filled := false, false
	for _, c := range m.Components {
		switch c.Type {
		case "body":
			values = c.Parameters
		case "header":
			header, given = c.Parameters, true
		default:
			bad[c.Type] = "cannot be filled at the Test carrier"
		}
	}
	var lines []string
	used := map[int]bool{}
	for _, p := range parts {
		if kind := p.file(); kind != "" {
			filled = true
			if len(header) != 1 || header[0].Type != kind || header[0].File == nil || string(header[0].File.Type) != kind {
				bad["header"] = "needs one " + kind
			}
		}
		if p.Text == "" {
			continue
		}
		lines = append(lines, placePattern.ReplaceAllStringFunc(p.Text, func(s string) string {
			n, _ := strconv.Atoi(strings.Trim(s, "{}"))
			used[n] = true
			if n < 1 || n > len(values) || values[n-1].Type != "text" || strings.TrimSpace(values[n-1].Text) == "" {
				bad["body."+strconv.Itoa(n)] = "is required"
				return s
			}
			return values[n-1].Text
		}))
	}
	if given && !filled {
		bad["header"] = "cannot be filled at the Test carrier"
	}
	for i := range values {
		if !used[i+1] {
			bad["body."+strconv.Itoa(i+1)] = "is no place of this template"
		}
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the template is not filled in right")
		p.Fields = bad
		return "", p
	}
	return strings.Join(lines, "\n"), nil
}

func (a *account) findTemplate(t omni.MessageTemplate) int {
	return slices.IndexFunc(a.templates, func(have omni.MessageTemplate) bool { return have.Name == t.Name && have.Language == t.Language })
}
