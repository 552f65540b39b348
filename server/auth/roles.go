package auth

import (
	"slices"

	"omniservice/omni"
)

// Anyone stands in Roles for a request without a login.
const Anyone omni.Role = "anyone"

var (
	everyone = []omni.Role{Anyone}
	admins   = []omni.Role{omni.RoleAdmin}
	leads    = []omni.Role{omni.RoleAdmin, omni.RoleSupervisor}
	users    = []omni.Role{omni.RoleAdmin, omni.RoleSupervisor, omni.RoleAgent}
	staff    = []omni.Role{omni.RoleAdmin, omni.RoleSupervisor, omni.RoleAgent, omni.RoleService}
	visitors = []omni.Role{omni.RoleVisitor}
)

// Roles says who may call what: id of an operation, or name of a socket command, to roles. What is not in it answers
// 403, and a test fails. It does not change.
var Roles = map[string][]omni.Role{
	"auth-login":    everyone,
	"auth-refresh":  everyone, // the refresh token is what they show
	"auth-logout":   everyone, // the same
	"auth-password": users,

	"me":               staff,
	"realtime-ticket":  staff,
	"organisation-get": staff, "organisation-update": admins,
	"user-list": staff, "user-create": admins, "user-get": admins, "user-update": admins,
	"group-list": staff, "group-create": admins, "group-get": staff, "group-update": admins,
	"folder-list": staff, "folder-create": admins, "folder-update": admins,
	"carrier-list": admins, "carrier-account-catch-up": admins,
	"carrier-account-list": admins, "carrier-account-create": admins, "carrier-account-get": admins, "carrier-account-update": admins,
	"carrier-account-health": admins, "carrier-account-check": admins,
	"reroute-mapping-list": admins, "reroute-mapping-create": admins, "reroute-mapping-update": admins, "reroute-mapping-delete": admins,
	"reroute-mapping-attempts": admins,
	"set-aside-list":           admins, "set-aside-replay": admins,
	"label-list": staff, "label-create": leads, "label-update": leads, "label-delete": leads,
	"channel-list": staff, "channel-create": admins, "channel-get": staff, "channel-update": admins,
	"api-key-list": admins, "api-key-create": admins, "api-key-delete": admins,
	"contact-list": staff, "contact-get": staff, "contact-update": staff,
	"interaction-list": staff, "interaction-get": staff, "interaction-messages": staff, "interaction-send": staff,
	"interaction-claim": staff, "interaction-release": staff, "interaction-resolve": staff, "interaction-reopen": staff,
	"interaction-assign": staff, "interaction-move": staff, "interaction-snooze": staff, "interaction-label": staff,
	"interaction-read": staff, "interaction-typing": staff,
	"note-list": staff, "note-add": staff,
	"draft-list": users, "interaction-drafts": users, "draft-save": users,
	"message-send": staff, "message-get": staff, "message-retry": staff,
	"media-upload":  staff,
	"presence-list": staff, "presence-set": users,
	"search":     staff,
	"sync":       staff,
	"audit-list": admins,

	"livechat-widget":        everyone,
	"livechat-session":       everyone,
	"livechat-messages":      visitors,
	"livechat-message-send":  visitors,
	"livechat-end":           visitors,
	"livechat-visitor":       visitors,
	"ws:auth.refresh":        staff,
	"ws:message.send":        {omni.RoleAdmin, omni.RoleSupervisor, omni.RoleAgent, omni.RoleService, omni.RoleVisitor},
	"ws:message.read":        {omni.RoleAdmin, omni.RoleSupervisor, omni.RoleAgent, omni.RoleService, omni.RoleVisitor},
	"ws:typing":              {omni.RoleAdmin, omni.RoleSupervisor, omni.RoleAgent, omni.RoleService, omni.RoleVisitor},
	"ws:viewing":             staff,
	"ws:presence.set":        staff,
	"ws:interaction.open":    staff,
	"ws:interaction.claim":   staff,
	"ws:interaction.assign":  staff,
	"ws:interaction.release": staff,
	"ws:interaction.resolve": staff,
	"ws:interaction.reopen":  staff,
	"ws:interaction.move":    staff,
	"ws:interaction.snooze":  staff,
	"ws:interaction.label":   staff,
	"ws:message.retry":       staff,
	"ws:note.add":            staff,
	"ws:draft.save":          users,

	"ws:interaction.close_view": staff,
	"ws:conversation.end":       visitors,
	"ws:visitor.update":         visitors,
}

// Allowed reports whether a role may do what id names.
func Allowed(id string, role omni.Role) bool {
	return slices.Contains(Roles[id], role) || slices.Contains(Roles[id], Anyone)
}
