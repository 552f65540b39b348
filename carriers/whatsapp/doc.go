// Package whatsapp adapts the WhatsApp Business Platform of Meta, called the Cloud API: Graph API v26.0.
//
// A webhook is JSON that is signed as a whole with the app's secret. It brings many things at once, of several accounts
// and numbers, in no order, and more than once: a repeated message is told by its id. Before it posts anything Meta asks by
// GET whether the address is ours. Pages of https://developers.facebook.com/docs, read 2026-11-23:
//
//	/graph-api/webhooks/getting-started                            the handshake and signatures
//	/whatsapp/cloud-api/webhooks/components                        what comes in
//	/whatsapp/business-management-api/webhooks/components          templates, accounts and numbers
//	/whatsapp/cloud-api/reference/messages                         sending, reading, typing
//	/whatsapp/cloud-api/reference/media                            files
//	/whatsapp/cloud-api/support/error-codes                        codes
//	/whatsapp/business-management-api/message-templates            templates
//	/whatsapp/cloud-api/overview#throughput                        limits
//	/graph-api/guides/secure-requests                              appsecret_proof
//
// Meta takes no idempotency key and cannot be asked for a message by an id of ours. So a send whose answer was lost is
// unknown until its status comes, which carries our id back (biz_opaque_callback_data); this Carrier is no Lookuper.
//
// What nobody could confirm is taken as it comes, or can be set: docs/carriers/whatsapp.md has the list.
package whatsapp
