package omni

// DeliveryStatusMessage is what a carrier says of a message that we sent. (Seed: DeliveryStatusMessage.)
type DeliveryStatusMessage struct {
	CarrierMessageID string `json:"carrierMessageId,omitempty" bson:"carrierMessageId,omitempty"`
	Status           Status `json:"status"                     bson:"status"`
	Reason           Reason `json:"reason,omitempty"           bson:"reason,omitempty"`
	ErrorCode        string `json:"errorCode,omitempty"        bson:"errorCode,omitempty"`
	OccurredAt       Millis `json:"occurredAt,omitempty"       bson:"occurredAt,omitempty"` // the carrier's time; 0 if it gives none
}

// DeliveryStatus is a status as it is matched to one of our messages. (Seed: DeliveryStatus.)
type DeliveryStatus struct {
	DeliveryStatusMessage `bson:",inline"`

	MessageID        string `json:"messageId,omitempty"        bson:"messageId,omitempty"`        // ours, if the carrier gave it back
	DigitalChannelID string `json:"digitalChannelId,omitempty" bson:"digitalChannelId,omitempty"` // a status moves only a message of this channel
	ReceivedAt       Millis `json:"receivedAt"                 bson:"receivedAt"`
}

// Validate reports what is wrong as ErrInvalid.
func (d DeliveryStatus) Validate() error {
	bad := invalid{}
	bad.require(d.Status.Valid(), "status", "is not a status")
	bad.require(d.Reason == "" || d.Reason.Valid(), "reason", "is not a reason")
	bad.require(d.CarrierMessageID != "" || d.MessageID != "", "carrierMessageId", "or messageId is required")
	bad.require(len(d.CarrierMessageID) <= 255, "carrierMessageId", "must be at most 255 bytes")
	bad.require(d.ReceivedAt > 0, "receivedAt", "is required")
	return bad.err("delivery status")
}
