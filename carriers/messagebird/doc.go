// Package messagebird adapts MessageBird, now Bird: four products under one name. An account has one of them to send by;
// what comes in tells by its form which it is of.
//
//	sms            rest.messagebird.com/messages              forms or JSON in, reports by GET
//	mms            rest.messagebird.com/mms for files, else as sms
//	conversations  conversations.messagebird.com/v1/send      JSON: message.created, message.updated
//	bird           api.bird.com/workspaces/…/channels/…       JSON: sms.inbound, sms.outbound, whatsapp.inbound, …
//
// Webhooks are signed in one of three ways, and the account says in which: they share header names, so nothing may be
// guessed. A JWT holds the hashes of URL and body and is used once; the older timestamp scheme covers query and body;
// Bird's covers URL and body. Pages, read 2026-11-22 and 2026-11-23:
//
//	https://developers.messagebird.com/api/sms-messaging/        sending, reports, statuses
//	https://developers.messagebird.com/api/mms-messaging/
//	https://developers.messagebird.com/api/conversations/        and the library messagebird/go-rest-api
//	https://developers.messagebird.com/api/#verifying-http-requests
//	https://docs.bird.com/api/notifications-api/webhook-subscriptions
//	https://docs.bird.com/api/channels-api                       with its limits: 500 requests a second of a workspace
//	https://docs.bird.com/connectivity-platform/sms/sms-platform-extended-error-codes
//
// No product takes an idempotency key, and a reference may be used again. So a send whose answer was lost is unknown
// until its report comes, which carries our id; this Carrier is no Lookuper.
package messagebird
