// Package inteliquent adapts Inteliquent's (Sinch's) Message Broker API: SMS, and MMS, in North America.
//
// Its vendor shows no documents in public any more. What is here comes from a copy of its API description, version 2.3,
// and from programs that run against it; both read 2026-11-23:
//
//	https://github.com/ooglek/inteliquent-sdk-php      the description
//	https://github.com/mozilla/fx-private-relay        a program, until September 2025: sending, digest
//	https://github.com/nemerald-voip/fspbx             a program: sending, digest, webhooks
//	https://github.com/simontelephonics/smsconnector   a program (FreePBX): sending, receipts, configuration
//
// A webhook is one JSON object. By default nothing tells that Inteliquent sent it; an account should have an API key for
// inbound messages, from which a digest of the webhook's own random token is made. The description calls it an HMAC, and
// what comes is a plain SHA-256; both can be had. It covers neither body nor time, so whoever sees one pair can use it
// again: a token that repeats is no reason to refuse a webhook, since it is not known whether the vendor's own retries
// have new ones; a message that repeats is known by its referenceId and changes nothing.
//
// Our id goes out as referenceId. Whether Inteliquent makes it its own is not known: what its answer says is the
// message's id, and receipts are looked for by both. Nothing can be asked about a message, so this Carrier is no
// Lookuper; and files are fetched without credentials from whatever host they are at, so it is no MediaFetcher.
//
// Not confirmed by any source: every field of a receipt but referenceId and deliveryReceipt, the order and repetition of
// webhooks, how long one may take, limits of text and files, rates, and how long files are kept.
package inteliquent
