// Package pubnub adapts PubNub, over which a business's own app talks to its users: a conversation is a PubNub channel, and
// the gateway is one more who publishes on it.
//
// Messages come in by Events & Actions webhooks, authenticated by a secret header, or by a PubNub Function that signs them.
// They go out by the publish API. What webhooks lost is found again in Message Persistence. A message's id is
// <channel>:<timetoken>: a timetoken, 17 digits, is unique within its channel, and too large for a float64. Pages, read
// 2026-11-23:
//
//	https://www.pubnub.com/docs/serverless/events-and-actions/overview
//	https://www.pubnub.com/docs/serverless/events-and-actions/events
//	https://www.pubnub.com/docs/serverless/events-and-actions/actions
//	https://www.pubnub.com/docs/sdks/rest-api/publish-message-to-channel
//	https://www.pubnub.com/docs/pub-sub/message-actions/add-message-actions
//	https://www.pubnub.com/docs/pub-sub/message-actions/remove-message-actions
//	https://www.pubnub.com/docs/sdks/rest-api/history-with-actions-introduction
//	https://www.pubnub.com/docs/files
//	https://www.pubnub.com/docs/sdks/rest-api/access-manager-introduction
//	https://www.pubnub.com/docs/general/setup/limits
//
// PubNub says little of some things, and this package takes whatever is meant: how enveloped batches look, and where the
// metadata of an envelope names the channel. It has no receipts of its own: apps add the message action receipt with the
// value delivered or read when they show a message.
package pubnub
