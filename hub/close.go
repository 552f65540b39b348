package hub

// The codes with which the hub closes a connection. The reason beside a code is for people, but for CloseRestart:
// there it is "retry=<ms>", the time over which all clients of this node shall spread their return.
const (
	CloseGoingAway   = 1001 // the client left, or the server is going away
	CloseProtocol    = 1002 // against RFC 6455, or not a command
	CloseUTF8        = 1007 // text that is not UTF-8
	ClosePolicy      = 1008 // too many connections or too many messages
	CloseTooBig      = 1009 // a message of more than Options.MaxMessage bytes
	CloseRestart     = 1012 // the server restarts
	CloseResync      = 4000 // this node lost events of a topic: come back and resume
	CloseUnavailable = 4001 // something that a connection needs is away for the moment
	CloseSilent      = 4002 // not a byte for Options.Silence
	CloseSlow        = 4008 // more than Options.QueueMessages or Options.QueueBytes waited
	CloseSession     = 4401 // the session ended, is not valid, or was never shown
	CloseRemoved     = 4403 // removed from the organisation, or blocked
)

// Reconnect reports whether a client that was closed with the code shall come back by itself. For CloseSession it
// must renew its session first.
func Reconnect(code int) bool {
	switch {
	case code == CloseProtocol, code == CloseUTF8, code == ClosePolicy, code == CloseTooBig, code == CloseRemoved:
		return false
	case code >= 4500 && code <= 4999:
		return false
	default:
		return true
	}
}

// maxReason is what RFC 6455 leaves for the reason in a control frame.
const maxReason = 123
