package testcarrier

import "omniservice/omni"

// reasons are the codes that mean something here: the gateway's words for a reason. unknown is a message that was
// taken and not answered.
var reasons = func() map[string]omni.Reason {
	m := make(map[string]omni.Reason, len(omni.Reasons))
	for _, r := range omni.Reasons {
		m[string(r)] = r
	}
	return m
}()

// Reason tells what a code of the Test carrier means: a word for a reason is that reason, every other code, such as
// one borrowed from a real carrier, is a refusal for good.
func Reason(code string) omni.Reason {
	if r, ok := reasons[code]; ok {
		return r
	}
	return omni.ReasonRejected
}
