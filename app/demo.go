package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
)

// The demo's own names. They exist only where --demo was given.
const (
	demoOrganisation = "Demo"
	demoAdminEmail   = "admin@demo.example"
	demoAgentEmail   = "ben@demo.example"
	demoSMSNumber    = "+15005550006"
	demoWhatsApp     = "+15005550007"
	demoWidget       = "demo-website-widget"
)

// Demo is what a demo start made or found.
type Demo struct {
	OrganisationID string
	LoginLink      string // logs the admin in, once
	AgentLink      string // logs a second agent in, once
	AccountID      string // the Test carrier's account
	WidgetID       string
}

// ensureDemo makes the demo's organisation unless it is there, and new login links.
func ensureDemo(ctx context.Context, st store.Store, keys *seal.Keyring, reg *carriers.Registry, publicURL string, now time.Time) (Demo, error) {
	d := Demo{WidgetID: demoWidget}
	admin, err := st.UserByEmail(ctx, demoAdminEmail)
	switch {
	case errors.Is(err, omni.ErrNotFound):
		if err := makeDemo(ctx, st, keys, reg, publicURL, now); err != nil {
			return d, fmt.Errorf("make demo: %w", err)
		}
		if admin, err = st.UserByEmail(ctx, demoAdminEmail); err != nil {
			return d, fmt.Errorf("find demo admin: %w", err)
		}
	case err != nil:
		return d, fmt.Errorf("find demo admin: %w", err)
	}
	d.OrganisationID = admin.OrganisationID
	agent, err := st.UserByEmail(ctx, demoAgentEmail)
	if err != nil {
		return d, fmt.Errorf("find demo agent: %w", err)
	}
	accounts, err := st.CarrierAccounts(ctx, omni.Org(admin.OrganisationID), store.Page{})
	if err != nil {
		return d, fmt.Errorf("find demo carrier account: %w", err)
	}
	for _, a := range accounts.Items {
		if a.Carrier == omni.CarrierTest {
			d.AccountID = a.ID
		}
	}
	for _, link := range []struct {
		user omni.User
		to   *string
	}{{admin, &d.LoginLink}, {agent, &d.AgentLink}} {
		token, err := LoginToken(ctx, st, link.user, now)
		if err != nil {
			return d, err
		}
		*link.to = publicURL + "/login#token=" + token
	}
	return d, nil
}

func makeDemo(ctx context.Context, st store.Store, keys *seal.Keyring, reg *carriers.Registry, publicURL string, now time.Time) error {
	admin, err := CreateUser(ctx, st, NewUser{Organisation: demoOrganisation, Email: demoAdminEmail, Name: "Ana Admin", Role: omni.RoleAdmin}, now)
	if err != nil {
		return err
	}
	t := omni.Org(admin.OrganisationID)
	agent, err := CreateUser(ctx, st, NewUser{Organisation: demoOrganisation, Email: demoAgentEmail, Name: "Ben Agent", Role: omni.RoleAgent}, now)
	if err != nil {
		return err
	}
	g, err := st.Group(ctx, t, admin.GroupID)
	if err != nil {
		return fmt.Errorf("demo group: %w", err)
	}
	g.Name, g.Colour, g.MemberIDs = "Support", "#1a73e8", append(g.MemberIDs, agent.UserID)
	if _, err := st.UpdateGroup(ctx, t, g); err != nil {
		return fmt.Errorf("demo group: %w", err)
	}
	at := omni.MillisOf(now)
	acc := omni.CarrierAccount{
		ID: omni.NewIDAt(now), Tenant: t, PublicID: omni.NewToken(16), Carrier: omni.CarrierTest, Name: "Test carrier",
		Config: map[string]string{}, Version: 1, CreatedAt: at, SchemaVersion: omni.CurrentSchema,
	}
	secret, err := pipeline.SealCredential(keys, acc, "secret", omni.NewToken(32))
	if err != nil {
		return err
	}
	acc.Credentials = map[string][]omni.SealedSecret{"secret": {secret}}
	if err := st.CreateCarrierAccount(ctx, t, acc); err != nil {
		return fmt.Errorf("demo carrier account: %w", err)
	}
	provider, err := reg.Provider(omni.CarrierTest)
	if err != nil {
		return err
	}
	carrier, err := provider.Open(carriers.Account{
		ID: acc.ID, PublicID: acc.PublicID, Config: acc.Config,
		Credentials: map[string][]omni.Secret{"secret": {omni.NewSecret(omni.NewToken(32))}},
	}, carriers.Options{WebhookURL: publicURL, Now: time.Now})
	if err != nil {
		return fmt.Errorf("open demo carrier: %w", err)
	}
	for _, ch := range []omni.DigitalChannel{
		{Name: "Test SMS", ChannelType: omni.ChannelSMS, Address: demoSMSNumber},
		{Name: "Test WhatsApp", ChannelType: omni.ChannelWhatsApp, Address: demoWhatsApp},
		{Name: "Demo website", ChannelType: omni.ChannelLiveChat, Address: demoWidget},
	} {
		ch.ID, ch.Tenant, ch.GroupID, ch.Version, ch.CreatedAt, ch.SchemaVersion = omni.NewIDAt(now), t, g.ID, 1, at, omni.CurrentSchema
		if ch.ChannelType == omni.ChannelLiveChat {
			ch.Capabilities = pipeline.LiveChatCapabilities()
			ch.LiveChat = &omni.LiveChatSettings{
				PublicID: demoWidget, AllowedOrigins: siteOrigins(publicURL), Title: "Demo support",
				Greeting: "Hello! Ask us anything: an agent reads this at once.", Accent: "#1a73e8",
			}
		} else {
			ch.Carrier, ch.CarrierAccountID = omni.CarrierTest, acc.ID
			ch.Capabilities, _ = carrier.Capabilities(ch.ChannelType)
		}
		if err := ch.Validate(); err != nil {
			return err
		}
		if err := st.CreateChannel(ctx, t, ch); err != nil {
			return fmt.Errorf("demo channel %s: %w", ch.Name, err)
		}
	}
	return nil
}

// siteOrigins are the origins of the demo website: the public URL, and on this machine its other name.
func siteOrigins(publicURL string) []string {
	origins := []string{publicURL}
	for _, name := range [][2]string{{"//localhost", "//127.0.0.1"}, {"//127.0.0.1", "//localhost"}} {
		if other := strings.Replace(publicURL, name[0], name[1], 1); other != publicURL {
			origins = append(origins, other)
		}
	}
	return origins
}
