package omni

// WorkflowResult is how a step ended. (Seed: WorkFlowResult.)
type WorkflowResult string

// The workflow results. Their names come from the seed; they are not HTTP answers of this gateway.
const (
	WorkflowSuccess    WorkflowResult = "HTTP_SUCCESS"
	WorkflowNotFound   WorkflowResult = "HTTP_NOT_FOUND"
	WorkflowBadRequest WorkflowResult = "HTTP_BAD_REQUEST"
	WorkflowError      WorkflowResult = "HTTP_INTERNAL_SERVER_ERROR"
)

// WorkflowResults lists every workflow result.
var WorkflowResults = []WorkflowResult{WorkflowSuccess, WorkflowNotFound, WorkflowBadRequest, WorkflowError}

// Valid reports whether r is one of WorkflowResults.
func (r WorkflowResult) Valid() bool { return isOneOf(r, WorkflowResults) }

// WorkflowSteps is one step that a message went through: agents see from it why a message is where it is. (Seed: WorkFlowSteps.)
type WorkflowSteps struct {
	Name   string         `json:"name"             bson:"name"`
	Result WorkflowResult `json:"result"           bson:"result"`
	Detail string         `json:"detail,omitempty" bson:"detail,omitempty"` // what was decided, in a few words, without personal data
	At     Millis         `json:"at"               bson:"at"`
	Micros int64          `json:"micros"           bson:"micros"` // how long it took, in microseconds
}

// WorkflowResponse is what a whole run came to. (Seed: WorkFlowResponse.)
type WorkflowResponse struct {
	Result        WorkflowResult  `json:"result"                  bson:"result"`
	MessageID     string          `json:"messageId,omitempty"     bson:"messageId,omitempty"`
	InteractionID string          `json:"interactionId,omitempty" bson:"interactionId,omitempty"`
	Steps         []WorkflowSteps `json:"steps"                   bson:"steps"`
	Error         string          `json:"error,omitempty"         bson:"error,omitempty"`
}

// Validate reports what is wrong as ErrInvalid.
func (w WorkflowSteps) Validate() error {
	bad := invalid{}
	bad.require(w.Name != "", "name", "is required")
	bad.require(w.Result.Valid(), "result", "is not a workflow result")
	return bad.err("workflow step")
}
