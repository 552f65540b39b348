// Package bandwidth adapts Bandwidth's Messaging API, version 2: SMS, and MMS to one recipient.
//
// Webhooks are JSON, a list of events or a single one; both directions may come to one address. They are not signed:
// Bandwidth brings the user name and password of the messaging application (HTTP Basic), and nothing tells a webhook
// from its copy, so a repeated one is known by the message's id. Pages, read 2026-11-23:
//
//	https://dev.bandwidth.com/docs/messaging/webhooks        what comes in, statuses, retries
//	https://dev.bandwidth.com/docs/messaging/errors          codes
//	https://dev.bandwidth.com/docs/messaging/createMessage   sending
//	https://dev.bandwidth.com/docs/messaging/getMessage      listing
//	https://dev.bandwidth.com/docs/messaging/media           files
//	https://dev.bandwidth.com/docs/messaging/rateLimits
//	https://dev.bandwidth.com/docs/account/credentials       API users (until 2026-12-02) and OAuth 2.0
//
// Bandwidth takes no idempotency key. Our id goes out as the message's tag, which every status brings back; but the list
// of messages neither filters by the tag nor shows it, nor the text, so a send whose answer was lost cannot be told from
// another one to the same number: it is unknown until its status comes, and this Carrier is no Lookuper.
//
// Not confirmed by any page: whether Bandwidth calls without credentials first and waits for a 401, whether statuses
// come in order, whether inbound texts always come whole, and the limits of an MMS from a long code.
package bandwidth
