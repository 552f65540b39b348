// Package twilio adapts Twilio Programmable Messaging: SMS, MMS and WhatsApp through Twilio, API version 2010-04-01.
//
// Webhooks are forms (POST or GET), or JSON with the body's hash in the URL; each is signed with the account's auth
// token. There is no time in a signature, so a repeated webhook is told by its MessageSid. Pages, read 2026-11-22:
//
//	https://www.twilio.com/docs/messaging/guides/webhook-request              what comes in
//	https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
//	https://www.twilio.com/docs/usage/webhooks/webhooks-security              signatures
//	https://www.twilio.com/docs/messaging/api/message-resource                sending
//	https://www.twilio.com/docs/messaging/api/media-resource                  files
//	https://www.twilio.com/docs/api/errors                                    codes
//
// Twilio takes no idempotency key and cannot be asked for a message by an id of ours. So a send whose answer was
// lost is unknown until its status callback comes, which carries our id in its query; this Carrier is no Lookuper.
package twilio
