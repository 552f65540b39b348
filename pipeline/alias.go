package pipeline

import (
	"context"
	"regexp"

	"omniservice/carriers"
	"omniservice/omni"
)

// Keys of metadata that name a person beside their address: ids that WhatsApp has of them, for us and for all companies of ours.
const (
	metaUserID       = "userId"
	metaParentUserID = "parentUserId"
	metaNewUserID    = "newUserId" // of a system event: what the user id is from now on
)

// numberForms are countries whose mobile numbers are written in two ways, which are the same telephone. WhatsApp knows each by
// one of them, and it need not be the one that is dialled.
var numberForms = []struct {
	long           *regexp.Regexp
	short          *regexp.Regexp
	toShort, toAll string
}{
	{regexp.MustCompile(`^\+55(\d\d)9([6-9]\d{7})$`), regexp.MustCompile(`^\+55(\d\d)([6-9]\d{7})$`), "+55$1$2", "+55${1}9$2"}, // Brazil's ninth digit
	{regexp.MustCompile(`^\+521(\d{10})$`), regexp.MustCompile(`^\+52(\d{10})$`), "+52$1", "+521$1"},                           // Mexico's 1, until 2019
	{regexp.MustCompile(`^\+549(\d{10})$`), regexp.MustCompile(`^\+54(\d{10})$`), "+54$1", "+549$1"},                           // Argentina's 9 of mobiles
}

// variant is the other way to write a number, or "".
func variant(number string) string {
	for _, f := range numberForms {
		switch {
		case f.long.MatchString(number):
			return f.long.ReplaceAllString(number, f.toShort)
		case f.short.MatchString(number):
			return f.short.ReplaceAllString(number, f.toAll)
		}
	}
	return ""
}

// aliases are what else a person at an address is known by, in a channel family: there is nothing of the kind but on WhatsApp.
func aliases(family omni.ChannelType, address string, meta omni.Metadata, at omni.Millis) []omni.IdentityAlias {
	if family != omni.ChannelWhatsApp {
		return nil
	}
	var all []omni.IdentityAlias
	for _, key := range []string{metaUserID, metaParentUserID, metaNewUserID} {
		if id := meta[key]; id != address && carriers.IsUserID(id) {
			all = append(all, omni.IdentityAlias{Address: id, Kind: omni.AliasUserID, At: at})
		}
	}
	if v := variant(address); v != "" {
		all = append(all, omni.IdentityAlias{Address: v, Kind: omni.AliasVariant, At: at})
	}
	return all
}

// learnAliases remembers by what else the carrier knows whom a message went to: what they answer from there is of the same contact.
// What cannot be remembered now is told with the next message.
func (p *Pipeline) learnAliases(ctx context.Context, a *Account, m omni.ServiceMessage, res carriers.SendResult) {
	for _, address := range res.RecipientAliases {
		alias := omni.IdentityAlias{Address: address, Kind: omni.AliasVariant, At: p.millis()}
		switch {
		case carriers.IsUserID(address):
			alias.Kind = omni.AliasUserID
		case carriers.IsUserID(m.Publish.Target.Address):
			alias.Kind = omni.AliasLinked
		}
		if _, err := p.store.AddAlias(ctx, m.Tenant, m.Publish.Target.IdentityID, alias); err != nil {
			// One that is another contact's stays that: agents merge contacts, nobody else.
			p.log.WarnContext(ctx, "an address that a carrier told of is not remembered",
				"carrier", a.Record.Carrier, "account_id", a.Record.ID, "org_id", m.Tenant.OrganisationID, "message_id", m.ID, "err", err)
		}
	}
}
