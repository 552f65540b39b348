package carriers

import (
	"net/http"
	"slices"

	"omniservice/omni"
)

// ResponseMetric is what became of a webhook, for counting. (Seed: CarrierResponseMetric.)
type ResponseMetric string

// The response metrics.
const (
	ReceivedAndForwarded          ResponseMetric = "ReceivedAndForwarded"
	FragmentReceived              ResponseMetric = "FragmentReceived"
	DuplicateFragment             ResponseMetric = "DuplicateFragment"
	Rejected                      ResponseMetric = "Rejected"
	DiscardDigitalChannelNotFound ResponseMetric = "DiscardDigitalChannelNotFound"
)

// ResponseMetrics lists every response metric.
var ResponseMetrics = []ResponseMetric{
	ReceivedAndForwarded, FragmentReceived, DuplicateFragment, Rejected, DiscardDigitalChannelNotFound,
}

// Valid reports whether m is one of ResponseMetrics.
func (m ResponseMetric) Valid() bool {
	return slices.Contains(ResponseMetrics, m)
}

// MessageType is what a webhook was about, for counting. (Seed: MessageTypeDimension.)
type MessageType string

// The message types.
const (
	TypeUnknown                    MessageType = "Unknown"
	TypeMessage                    MessageType = "Message"
	TypeDeliveryStatusNotification MessageType = "DeliveryStatusNotification"
)

// MessageTypes lists every message type.
var MessageTypes = []MessageType{TypeUnknown, TypeMessage, TypeDeliveryStatusNotification}

// Valid reports whether t is one of MessageTypes.
func (t MessageType) Valid() bool {
	return slices.Contains(MessageTypes, t)
}

// HTTPResponse is the answer to a carrier's webhook, and how it counts. (Seed: CarrierHttpResponse.)
type HTTPResponse struct {
	Status      int            `json:"status"`
	ContentType string         `json:"contentType,omitempty"` // empty: no body
	Body        string         `json:"body,omitempty"`
	Metric      ResponseMetric `json:"metric"`
	MessageType MessageType    `json:"messageType"`
}

// Taken is the answer to a webhook whose events are durable, for a provider that looks at the status alone.
func Taken(p Parsed) HTTPResponse {
	r := HTTPResponse{Status: http.StatusOK, Metric: ReceivedAndForwarded, MessageType: TypeMessage}
	switch {
	case len(p.Events) == 0:
		r.Metric, r.MessageType = Rejected, TypeUnknown
	case p.Events[0].Kind == omni.EventStatus:
		r.MessageType = TypeDeliveryStatusNotification
	}
	return r
}
