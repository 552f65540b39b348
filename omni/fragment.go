package omni

// MessageFragment is one part of a text that a carrier delivers in parts. (Seed: MessageFragment.)
type MessageFragment struct {
	Reference  string `json:"reference"  bson:"reference"` // what the parts of one text share; unique only per sender and channel, and only for a while
	Index      int    `json:"index"      bson:"index"`     // from 1
	Total      int    `json:"total"      bson:"total"`     // number of parts, 2 to 255
	Text       string `json:"text"       bson:"text"`
	ReceivedAt Millis `json:"receivedAt" bson:"receivedAt"`
}

// Validate reports what is wrong as ErrInvalid.
func (f MessageFragment) Validate() error {
	bad := invalid{}
	bad.require(f.Reference != "" && len(f.Reference) <= 255, "reference", "must be 1 to 255 bytes")
	bad.require(f.Total >= 2 && f.Total <= 255, "total", "must be between 2 and 255")
	bad.require(f.Index >= 1 && f.Index <= f.Total, "index", "must be between 1 and total")
	return bad.err("message fragment")
}
