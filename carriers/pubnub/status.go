package pubnub

import "omniservice/omni"

// statuses tells what the values of the message action receipt mean. The words are this gateway's: PubNub has no receipts of
// its own, and apps add these when they get and when they show a message.
var statuses = map[string]omni.Status{
	"delivered": omni.StatusDelivered,
	"read":      omni.StatusRead,
}
