package testcarrier_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/testcarrier"
	"omniservice/omni"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	p := testcarrier.New(testcarrier.Options{})
	t.Cleanup(p.Close)
	open := func(id string) carriers.TemplateManager {
		c, err := p.Open(carriers.Account{ID: id, Credentials: map[string][]omni.Secret{"secret": {omni.NewSecret("s")}}}, carriers.Options{})
		require.NoError(t, err)
		m, ok := c.(carriers.TemplateManager)
		require.True(t, ok)
		return m
	}
	m, other := open("a"), open("b")
	all, err := m.Templates(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, tpl := range all {
		require.NoError(t, m.CheckTemplate(tpl))
		require.True(t, tpl.Usable())
	}
	reminder := all[0]
	text := func(values ...string) omni.TemplateMessage {
		c := omni.TemplateComponent{Type: "body"}
		for _, v := range values {
			c.Parameters = append(c.Parameters, omni.TemplateParameter{Type: "text", Text: v})
		}
		return omni.TemplateMessage{Name: reminder.Name, Language: reminder.Language, Components: []omni.TemplateComponent{c}}
	}
	got, err := m.FillTemplate(reminder, text("Maria", "Monday"))
	require.NoError(t, err)
	require.Equal(t, "Your appointment\nHello Maria, we expect you on Monday.\nReply to change it", got)
	header := text("Maria", "Monday")
	header.Components = append(header.Components, omni.TemplateComponent{Type: "header"})
	for field, fill := range map[string]omni.TemplateMessage{
		"body.2": text("Maria"), "body.1": text(" ", "Monday"), "body.3": text("Maria", "Monday", "x"), "header": header,
	} {
		_, err := m.FillTemplate(reminder, fill)
		require.ErrorIs(t, err, omni.ErrInvalid)
		var problem *omni.Problem
		require.ErrorAs(t, err, &problem)
		require.Contains(t, problem.Fields, field)
	}

	picture := omni.MessageTemplate{Name: "map", Language: "en", Components: `[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"Look"}]`}
	with := func(file omni.TemplateParameter) omni.TemplateMessage {
		return omni.TemplateMessage{Components: []omni.TemplateComponent{{Type: "header", Parameters: []omni.TemplateParameter{file}}}}
	}
	image := omni.TemplateParameter{Type: "image", File: &omni.MediaReference{Type: omni.MediaImage}}
	got, err = m.FillTemplate(picture, with(image))
	require.NoError(t, err)
	require.Equal(t, "Look", got)
	for name, fill := range map[string]omni.TemplateMessage{
		"nothing": {}, "no file": with(omni.TemplateParameter{Type: "image"}),
		"another kind": with(omni.TemplateParameter{Type: "video", File: &omni.MediaReference{Type: omni.MediaVideo}}),
		"another file": with(omni.TemplateParameter{Type: "image", File: &omni.MediaReference{Type: omni.MediaVideo}}),
	} {
		_, err := m.FillTemplate(picture, fill)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
	}

	made := omni.MessageTemplate{Name: "welcome", Language: "en", Category: omni.TemplateUtility, Components: `[{"type":"BODY","text":"Welcome!"}]`}
	require.NoError(t, m.CheckTemplate(made))
	made, err = m.CreateTemplate(t.Context(), made)
	require.NoError(t, err)
	require.True(t, made.Usable())
	require.NotEmpty(t, made.CarrierID)
	_, err = m.CreateTemplate(t.Context(), made)
	require.ErrorIs(t, err, omni.ErrInvalid)
	require.NoError(t, m.DeleteTemplate(t.Context(), reminder))
	require.ErrorIs(t, m.DeleteTemplate(t.Context(), reminder), omni.ErrNotFound)
	all, err = m.Templates(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, "welcome", all[2].Name)
	all, err = other.Templates(t.Context())
	require.NoError(t, err)
	require.Equal(t, "appointment_reminder", all[0].Name, "another account's are its own")

	bad := made
	bad.Components = `[{"type":"FOOTER","text":"x"}]`
	require.ErrorIs(t, m.CheckTemplate(bad), omni.ErrInvalid)
	bad.Components = `{}`
	require.ErrorIs(t, m.CheckTemplate(bad), omni.ErrInvalid)
	_, err = m.FillTemplate(bad, text())
	require.Error(t, err)
}
