// Package server is the outside surface of the gateway: carriers' webhooks, REST, the sockets of agents and visitors,
// LiveChat, the built web programs, the demo pages, and health and metrics on an address of their own.
//
// It decides who asks and whether they may, turns requests into calls of the pipeline and the store, and errors into
// answers. Who may call what is data: auth.Roles. What there is to call is data too: Server.Routes and Commands.
package server
