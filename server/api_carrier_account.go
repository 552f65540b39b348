package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server/auth"
	"omniservice/store"
)

// CarrierBody is a carrier that accounts can be made for, and what such an account needs.
type CarrierBody struct {
	Name   omni.CarrierName `json:"name"`
	Fields []carriers.Field `json:"fields" nullable:"false"`
}

// CredentialBody is what is told of a secret: never the secret.
type CredentialBody struct {
	Set        bool        `json:"set"`
	Hint       string      `json:"hint,omitempty" doc:"The last 4 characters"`
	ValidUntil omni.Millis `json:"validUntil,omitempty" doc:"Until when the one before it is still taken for webhooks"`
}

// CarrierAccountBody is an account at a carrier.
type CarrierAccountBody struct {
	ID          string                    `json:"id"`
	Carrier     omni.CarrierName          `json:"carrier"`
	Name        string                    `json:"name"`
	PublicID    string                    `json:"publicId"`
	WebhookURL  string                    `json:"webhookUrl" doc:"To enter at the carrier"`
	Config      map[string]string         `json:"config"`
	Credentials map[string]CredentialBody `json:"credentials"`
	Disabled    bool                      `json:"disabled"`
	Version     int64                     `json:"version"`
	CreatedAt   omni.Millis               `json:"createdAt"`
}

// SetAsideBody is a webhook that was kept instead of processed. What it says is not shown.
type SetAsideBody struct {
	RecordID   string               `json:"recordId"`
	Carrier    omni.CarrierName     `json:"carrier"`
	Reason     store.SetAsideReason `json:"reason" enum:"poison,channel_not_found,message_not_found,unknown,not_forwarded"`
	Detail     string               `json:"detail,omitempty"`
	Events     int                  `json:"events" doc:"How many events it holds"`
	Attempts   int                  `json:"attempts"`
	ReceivedAt omni.Millis          `json:"receivedAt"`
	At         omni.Millis          `json:"at"`
	ExpiresAt  omni.Millis          `json:"expiresAt"`
}

// HealthBody is how an account at a carrier works.
type HealthBody struct {
	State         pipeline.HealthState `json:"state" enum:"ok,degraded,down"`
	Reason        string               `json:"reason,omitempty" doc:"Why, and what to do"`
	LastWebhookAt omni.Millis          `json:"lastWebhookAt,omitempty" doc:"When a webhook of the carrier was last taken"`
	LastSentAt    omni.Millis          `json:"lastSentAt,omitempty" doc:"When the carrier last took a message"`
	Refused       int64                `json:"refused" doc:"Webhooks that were not the carrier's"`
	LastRefusedAt omni.Millis          `json:"lastRefusedAt,omitempty"`
	LastRefused   string               `json:"lastRefused,omitempty" doc:"What was wrong with the last of them, such as bad_signature"`
	Misconfigured int                  `json:"misconfigured" doc:"Messages that the carrier refused one after another because of how the account is set up"`
	LastErrorCode string               `json:"lastErrorCode,omitempty" doc:"The carrier's code for the last of them"`
	Unreachable   int                  `json:"unreachable" doc:"Sends without an answer, one after another"`
	Notices       []HealthNoticeBody   `json:"notices" nullable:"false" doc:"What the carrier says of the account, newest first"`
	Channels      []ChannelHealthBody  `json:"channels" nullable:"false"`
}

// HealthNoticeBody is what a carrier said of an account.
type HealthNoticeBody struct {
	Name    string               `json:"name" doc:"The carrier's word"`
	Address string               `json:"address,omitempty" doc:"The number or name that it is about; all of the account if left out"`
	Detail  string               `json:"detail,omitempty"`
	State   pipeline.HealthState `json:"state" enum:"ok,degraded,down"`
	At      omni.Millis          `json:"at"`
}

// ChannelHealthBody is how a channel works.
type ChannelHealthBody struct {
	ChannelID string               `json:"channelId"`
	State     pipeline.HealthState `json:"state" enum:"ok,degraded,down"`
	Reason    string               `json:"reason,omitempty"`
}

// CheckBody is what a check of an account found.
type CheckBody struct {
	OK     bool             `json:"ok" doc:"Nothing was found wrong"`
	Checks []carriers.Check `json:"checks" nullable:"false"`
}

type checkInput struct {
	RecordInput

	Body *struct{} `required:"false"`
}

type carrierAccountPost struct {
	Body struct {
		Carrier     omni.CarrierName  `json:"carrier" maxLength:"40"`
		Name        string            `json:"name" maxLength:"800"`
		Config      map[string]string `json:"config,omitempty" maxProperties:"50"`
		Credentials map[string]string `json:"credentials,omitempty" maxProperties:"20" doc:"Written, never read"`
	}
}

type carrierAccountPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name                *string           `json:"name,omitempty" maxLength:"800"`
		Config              map[string]string `json:"config,omitempty" maxProperties:"50" doc:"Replaces what it names; an empty value removes it"`
		Credentials         map[string]string `json:"credentials,omitempty" maxProperties:"20" doc:"Replaces what it names; an empty value removes it"`
		KeepPreviousSeconds *int64            `json:"keepPreviousSeconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long a replaced credential is still taken for webhooks; a day if left out"`
		Disabled            *bool             `json:"disabled,omitempty"`
	}
}

type setAsideInput struct {
	RecordInput
	PageInput
}

type catchUpInput struct {
	RecordInput

	Body *struct{} `required:"false"`
}

type replayInput struct {
	RecordID string    `path:"recordId" maxLength:"100"`
	Body     *struct{} `required:"false"`
}

// longSetting is the longest value of a setting or credential, in bytes.
const longSetting = 8192

func (s *Server) newCarrierAccount(a omni.CarrierAccount) CarrierAccountBody {
	b := CarrierAccountBody{
		ID: a.ID, Carrier: a.Carrier, Name: a.Name, PublicID: a.PublicID, WebhookURL: s.d.Pipeline.WebhookURL(a),
		Config: map[string]string{}, Credentials: map[string]CredentialBody{}, Disabled: a.Disabled, Version: a.Version, CreatedAt: a.CreatedAt,
	}
	maps.Copy(b.Config, a.Config)
	if p, err := s.d.Carriers.Provider(a.Carrier); err == nil {
		for _, f := range p.Fields() {
			if f.Secret {
				b.Credentials[f.Name] = CredentialBody{}
			}
		}
	}
	for name, sealed := range a.Credentials {
		if len(sealed) == 0 {
			continue
		}
		c := CredentialBody{Set: true, Hint: sealed[0].Hint}
		if len(sealed) > 1 && sealed[1].ValidUntil > s.millis() {
			c.ValidUntil = sealed[1].ValidUntil
		}
		b.Credentials[name] = c
	}
	return b
}

func (s *Server) carrierAccountRecord(a omni.CarrierAccount) *record[CarrierAccountBody] {
	return &record[CarrierAccountBody]{ETag: etag(a.Version), Body: s.newCarrierAccount(a)}
}

func (s *Server) apiCarrierAccounts() {
	register(s, endpoint{
		id: "carrier-list", method: http.MethodGet, path: "/api/v1/carriers", tag: "carrier-accounts",
		summary: "Carriers, and what an account at each needs",
	}, func(context.Context, auth.Principal, *noInput) (*listOutput[CarrierBody], error) {
		return newList(s.d.Carriers.Providers(), "", func(p carriers.Provider) CarrierBody {
			return CarrierBody{Name: p.Name(), Fields: append([]carriers.Field{}, p.Fields()...)}
		}), nil
	})
	register(s, endpoint{
		id: "carrier-account-list", method: http.MethodGet, path: "/api/v1/carrier-accounts", tag: "carrier-accounts",
		summary: "Accounts at carriers, by name",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[CarrierAccountBody], error) {
		l, err := s.d.Store.CarrierAccounts(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, s.newCarrierAccount), nil
	})
	register(s, endpoint{
		id: "carrier-account-create", method: http.MethodPost, path: "/api/v1/carrier-accounts", tag: "carrier-accounts",
		status: http.StatusCreated, summary: "Add an account at a carrier",
	}, s.createCarrierAccount)
	register(s, endpoint{
		id: "carrier-account-get", method: http.MethodGet, path: "/api/v1/carrier-accounts/{id}", tag: "carrier-accounts",
		summary: "An account at a carrier", scope: map[string]string{"id": "carrier-account"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[CarrierAccountBody], error) {
		a, err := s.carrierAccount(ctx, p, in.ID)
		if err != nil {
			return nil, err
		}
		return s.carrierAccountRecord(a), nil
	})
	register(s, endpoint{
		id: "carrier-account-update", method: http.MethodPatch, path: "/api/v1/carrier-accounts/{id}", tag: "carrier-accounts",
		summary: "Change an account; a new credential leaves the one before it valid for webhooks for a while",
		scope:   map[string]string{"id": "carrier-account"}, sample: `{"name":"Changed"}`,
	}, s.updateCarrierAccount)
	register(s, endpoint{
		id: "carrier-account-health", method: http.MethodGet, path: "/api/v1/carrier-accounts/{id}/health", tag: "carrier-accounts",
		summary: "How an account works, by what came of its webhooks and messages, and by what the carrier says",
		scope:   map[string]string{"id": "carrier-account"},
	}, s.carrierAccountHealth)
	register(s, endpoint{
		id: "carrier-account-check", method: http.MethodPost, path: "/api/v1/carrier-accounts/{id}/check", tag: "carrier-accounts",
		summary: "Try an account: its settings, the address of its webhooks, and what the carrier answers. Nothing is sent to anybody",
		scope:   map[string]string{"id": "carrier-account"},
	}, func(ctx context.Context, p auth.Principal, in *checkInput) (*plain[CheckBody], error) {
		a, err := s.carrierAccount(ctx, p, in.ID)
		if err != nil {
			return nil, err
		}
		all, err := s.d.Pipeline.Check(ctx, p.Tenant, a.ID)
		if err != nil {
			return nil, err
		}
		b := CheckBody{OK: !slices.ContainsFunc(all, func(c carriers.Check) bool { return !c.OK }), Checks: all}
		return &plain[CheckBody]{Body: b}, s.audit(ctx, p, "carrier-account.check", a.ID, nil)
	})
	register(s, endpoint{
		id: "carrier-account-catch-up", method: http.MethodPost, path: "/api/v1/carrier-accounts/{id}/catch-up", tag: "carrier-accounts",
		status: http.StatusAccepted, summary: "Ask the carrier for what came in while its webhooks did not arrive, for the open conversations, in the background",
		scope: map[string]string{"id": "carrier-account"},
	}, func(ctx context.Context, p auth.Principal, in *catchUpInput) (*noOutput, error) {
		if _, err := s.carrierAccount(ctx, p, in.ID); err != nil {
			return nil, err
		}
		if err := s.d.Pipeline.CatchUp(ctx, p.Tenant, in.ID); err != nil {
			return nil, err
		}
		return nil, s.audit(ctx, p, "carrier-account.catch-up", in.ID, nil)
	})
	register(s, endpoint{
		id: "set-aside-list", method: http.MethodGet, path: "/api/v1/carrier-accounts/{id}/set-aside", tag: "carrier-accounts",
		summary: "Webhooks of the account that were kept instead of processed, newest first; a page may hold fewer than asked for",
		scope:   map[string]string{"id": "carrier-account"},
	}, func(ctx context.Context, p auth.Principal, in *setAsideInput) (*listOutput[SetAsideBody], error) {
		if _, err := s.carrierAccount(ctx, p, in.ID); err != nil {
			return nil, err
		}
		l, err := s.d.Store.ListAside(ctx, p.Tenant, page(&in.PageInput))
		if err != nil {
			return nil, err
		}
		own := slices.DeleteFunc(l.Items, func(a store.SetAside) bool { return a.Record.AccountID != in.ID })
		return newList(own, l.Next, func(a store.SetAside) SetAsideBody {
			return SetAsideBody{
				RecordID: a.Record.ID, Carrier: a.Record.Carrier, Reason: a.Reason, Detail: a.Detail, Events: len(a.Record.Events),
				Attempts: a.Record.Attempts, ReceivedAt: a.Record.ReceivedAt, At: a.At, ExpiresAt: a.ExpiresAt,
			}
		}), nil
	})
	register(s, endpoint{
		id: "set-aside-replay", method: http.MethodPost, path: "/api/v1/carrier-accounts/set-aside/{recordId}/replay",
		tag: "carrier-accounts", status: http.StatusNoContent, summary: "Process a webhook that was set aside",
		scope: map[string]string{"recordId": "set-aside"},
	}, func(ctx context.Context, p auth.Principal, in *replayInput) (*noOutput, error) {
		if err := knownID(in.RecordID); err != nil {
			return nil, err
		}
		if _, err := s.d.Store.ReplayAside(ctx, p.Tenant, in.RecordID); err != nil {
			return nil, err
		}
		s.d.Pipeline.Kick()
		return nil, s.audit(ctx, p, "set-aside.replay", in.RecordID, nil)
	})
}

func (s *Server) carrierAccountHealth(ctx context.Context, p auth.Principal, in *RecordInput) (*plain[HealthBody], error) {
	a, err := s.carrierAccount(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	h, err := s.d.Pipeline.Health(ctx, p.Tenant, a.ID)
	if err != nil {
		return nil, err
	}
	now := s.millis()
	is := h.Of("", now)
	b := HealthBody{
		State: is.State, Reason: is.Reason, LastWebhookAt: h.LastWebhookAt, LastSentAt: h.LastSentAt, Refused: h.Refused,
		LastRefusedAt: h.LastRefusedAt, LastRefused: h.LastRefused, Misconfigured: h.MisconfiguredRow, LastErrorCode: h.MisconfiguredCode,
		Unreachable: h.UnreachableRow, Notices: []HealthNoticeBody{}, Channels: []ChannelHealthBody{},
	}
	for _, n := range h.Notices {
		state := n.State
		if n.Until <= now {
			state = pipeline.HealthOK
		}
		b.Notices = append(b.Notices, HealthNoticeBody{Name: n.Name, Address: n.Address, Detail: n.Detail, State: state, At: n.At})
	}
	channels, err := s.d.Pipeline.ChannelsOf(ctx, p.Tenant, a.ID)
	if err != nil {
		return nil, err
	}
	for _, ch := range channels {
		of := h.Of(ch.Address, now)
		b.Channels = append(b.Channels, ChannelHealthBody{ChannelID: ch.ID, State: of.State, Reason: of.Reason})
	}
	return &plain[HealthBody]{Body: b}, nil
}

func (s *Server) carrierAccount(ctx context.Context, p auth.Principal, id string) (omni.CarrierAccount, error) {
	if err := knownID(id); err != nil {
		return omni.CarrierAccount{}, err
	}
	return s.d.Store.CarrierAccount(ctx, p.Tenant, id)
}

func (s *Server) createCarrierAccount(ctx context.Context, p auth.Principal, in *carrierAccountPost) (*record[CarrierAccountBody], error) {
	a := omni.CarrierAccount{
		ID: omni.NewIDAt(s.now()), Tenant: omni.Org(p.Tenant.OrganisationID), PublicID: omni.NewToken(16), Carrier: in.Body.Carrier,
		Name: in.Body.Name, Config: map[string]string{}, Credentials: map[string][]omni.SealedSecret{}, Version: 1,
		CreatedAt: s.millis(), SchemaVersion: omni.CurrentSchema,
	}
	if err := s.configure(&a, in.Body.Config, in.Body.Credentials, 0); err != nil {
		return nil, err
	}
	if err := s.d.Store.CreateCarrierAccount(ctx, p.Tenant, a); err != nil {
		return nil, err
	}
	s.changed(ctx, p.Tenant, "carrier-account", a.ID)
	details := map[string]string{"carrier": string(a.Carrier), "credentials": strconv.Itoa(len(a.Credentials))}
	return s.carrierAccountRecord(a), s.audit(ctx, p, "carrier-account.create", a.ID, details)
}

func (s *Server) updateCarrierAccount(ctx context.Context, p auth.Principal, in *carrierAccountPatch) (*record[CarrierAccountBody], error) {
	v, err := version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	a, err := s.carrierAccount(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	if a.Version != v {
		return nil, preconditionFailed("carrier account")
	}
	set(&a.Name, in.Body.Name)
	wasDisabled := a.Disabled
	set(&a.Disabled, in.Body.Disabled)
	keep := 24 * time.Hour
	if in.Body.KeepPreviousSeconds != nil {
		keep = time.Duration(*in.Body.KeepPreviousSeconds) * time.Second
	}
	if err := s.configure(&a, in.Body.Config, in.Body.Credentials, keep); err != nil {
		return nil, err
	}
	if a, err = s.d.Store.UpdateCarrierAccount(ctx, p.Tenant, a); err != nil {
		return nil, staleAs("carrier account", err)
	}
	s.changed(ctx, p.Tenant, "carrier-account", a.ID)
	if wasDisabled && !a.Disabled {
		if err := s.d.Pipeline.CatchUp(ctx, p.Tenant, a.ID); err != nil && !errors.Is(err, omni.ErrUnsupported) {
			s.log.WarnContext(ctx, "catch up", "account_id", a.ID, "err", err)
		}
	}
	out := s.carrierAccountRecord(a)
	for _, name := range slices.Sorted(maps.Keys(in.Body.Credentials)) {
		if err := s.audit(ctx, p, "carrier-account.credential", a.ID, map[string]string{"name": name}); err != nil {
			return nil, err
		}
	}
	return out, s.audit(ctx, p, "carrier-account.update", a.ID, nil)
}

// configure puts settings and credentials into an account and checks the whole. A credential that is replaced stays
// valid for keep.
func (s *Server) configure(a *omni.CarrierAccount, config, credentials map[string]string, keep time.Duration) error {
	provider, err := s.d.Carriers.Provider(a.Carrier)
	if err != nil {
		return invalidField("carrier", "is not one of the carriers here")
	}
	bad := map[string]string{}
	fields := map[string]carriers.Field{}
	for _, f := range provider.Fields() {
		fields[f.Name] = f
	}
	newConfig := maps.Clone(a.Config)
	if newConfig == nil {
		newConfig = map[string]string{}
	}
	for name, value := range config {
		f, ok := fields[name]
		switch {
		case !ok || f.Secret:
			bad["config."+name] = "is not a setting of this carrier"
		case len(value) > longSetting:
			bad["config."+name] = "is too long"
		case value == "":
			delete(newConfig, name)
		default:
			newConfig[name] = value
		}
	}
	newCredentials := maps.Clone(a.Credentials)
	if newCredentials == nil {
		newCredentials = map[string][]omni.SealedSecret{}
	}
	for name, value := range credentials {
		f, ok := fields[name]
		switch {
		case !ok || !f.Secret:
			bad["credentials."+name] = "is not a credential of this carrier"
		case len(value) > longSetting:
			bad["credentials."+name] = "is too long"
		case value == "":
			delete(newCredentials, name)
		default:
			sealed, err := s.d.Seal(*a, name, value)
			if err != nil {
				return fmt.Errorf("seal credential %s of carrier account %s: %w", name, a.ID, err)
			}
			newCredentials[name] = rotate(sealed, newCredentials[name], s.millis(), keep)
		}
	}
	for _, f := range fields {
		switch {
		case !f.Required:
		case f.Secret && len(newCredentials[f.Name]) == 0:
			bad["credentials."+f.Name] = "is required"
		case !f.Secret && newConfig[f.Name] == "":
			bad["config."+f.Name] = "is required"
		}
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "The carrier account is not valid.")
		p.Fields = bad
		return p
	}
	a.Config, a.Credentials = newConfig, newCredentials
	if err := a.Validate(); err != nil {
		return err
	}
	return s.d.Pipeline.CheckAccount(*a)
}

// rotate puts a new secret before the one that it replaces, which stays valid for keep. Older ones go.
func rotate(fresh omni.SealedSecret, old []omni.SealedSecret, now omni.Millis, keep time.Duration) []omni.SealedSecret {
	out := []omni.SealedSecret{fresh}
	if len(old) > 0 && keep > 0 {
		previous := old[0]
		previous.ValidUntil = now.Add(keep)
		out = append(out, previous)
	}
	return out
}
