// Package testcarrier is a carrier that lives inside the gateway, for demonstrations and tests: nothing leaves the
// machine. It plays what real ones do: delays, failures by code, statuses in any order, duplicates, fragments.
//
// # Out
//
// What is sent is kept in memory for a while, for each recipient, where a simulator shows it (Provider.Outbox). The
// account's Behaviour says what becomes of it; statuses come back through carriers.Options.Deliver.
//
// Every account has two message templates, and takes more: they are approved at once, and forgotten with the program.
//
// # In
//
// A webhook is a POST of JSON, signed with the account's secret:
//
//	X-Omni-Test-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">
//
// More than one v1 may stand there; a time more than 300 s off is refused. The body holds up to 1,000 events:
//
//	{"events": [
//	  {"kind": "message", "id": "in-1", "channel": "SMS", "from": "+14155550123", "to": "+15005550006",
//	   "text": "Hello", "at": 1795435200000,
//	   "media": [{"url": "https://files.example/1.jpg", "contentType": "image/jpeg"}],
//	   "fragment": {"reference": "77", "index": 1, "total": 3},
//	   "profileName": "Ana", "replyTo": "out-1", "buttonPayload": "yes", "optOut": "STOP"},
//	  {"kind": "status", "id": "out-1", "messageId": "<our id of the message>", "channel": "SMS",
//	   "from": "+15005550006", "to": "+14155550123", "status": "delivered", "errorCode": "", "at": 1795435200000},
//	  {"kind": "reaction", "id": "re-1", "replyTo": "out-1", "messageId": "<our id of the message>", "channel": "WhatsApp",
//	   "from": "+14155550123", "to": "+15005550006", "reaction": "👍", "at": 1795435200000}
//	]}
//
// channel is SMS, MMS or WhatsApp. A message needs id, from and to; a status needs id or messageId, and status;
// a reaction needs id, from, to, and replyTo or messageId, and without an emoji takes back what was there. Times
// are milliseconds since 1970. What is not in use may be left out; kinds, channels and statuses that are not known are
// acknowledged and change nothing. Simulate and Client make such webhooks.
package testcarrier
