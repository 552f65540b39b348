package omni

// MessageQueueLock is the right to work on one part of a queue for a while. (Seed: MessageQueueLock.)
//
// Token grows with each owner: a write that carries an older token than the lock's is refused, so that a worker
// who slept through the end of its lease changes nothing.
type MessageQueueLock struct {
	Key       string `json:"key"       bson:"_id"`   // such as "inbox/17"
	Owner     string `json:"owner"     bson:"owner"` // node id
	Token     int64  `json:"token"     bson:"token"` // fencing number, from 1
	ExpiresAt Millis `json:"expiresAt" bson:"expiresAt"`
}

// Validate reports what is wrong as ErrInvalid.
func (l MessageQueueLock) Validate() error {
	bad := invalid{}
	bad.require(l.Key != "", "key", "is required")
	bad.require(l.Owner != "", "owner", "is required")
	bad.require(l.Token >= 1, "token", "must be 1 or more")
	bad.require(l.ExpiresAt > 0, "expiresAt", "is required")
	return bad.err("queue lock")
}
