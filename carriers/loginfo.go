package carriers

import (
	"log/slog"

	"omniservice/omni"
)

// LogInfo is what is logged of a carrier's webhook or of a send: ids and outcomes, never text, addresses or secrets.
// (Seed: CarrierLogInfo.)
type LogInfo struct {
	Carrier     omni.CarrierName `json:"carrier"`
	AccountID   string           `json:"accountId"`
	OrgID       string           `json:"orgId"`
	ChannelID   string           `json:"channelId,omitempty"`
	MessageID   string           `json:"messageId,omitempty"`
	MessageType MessageType      `json:"messageType,omitempty"`
	Metric      ResponseMetric   `json:"metric,omitempty"`
	Reason      string           `json:"reason,omitempty"`
}

// Attr gives the info to a log record: its attributes stand beside the record's others, in no group.
func (l LogInfo) Attr() slog.Attr { return slog.Any("", l) }

// LogValue implements slog.LogValuer, leaving out what is empty.
func (l LogInfo) LogValue() slog.Value {
	all := []slog.Attr{
		slog.String("carrier", string(l.Carrier)),
		slog.String("account_id", l.AccountID),
		slog.String("org_id", l.OrgID),
		slog.String("channel_id", l.ChannelID),
		slog.String("message_id", l.MessageID),
		slog.String("message_type", string(l.MessageType)),
		slog.String("metric", string(l.Metric)),
		slog.String("reason", l.Reason),
	}
	set := all[:0]
	for _, a := range all {
		if a.Value.String() != "" {
			set = append(set, a)
		}
	}
	return slog.GroupValue(set...)
}
