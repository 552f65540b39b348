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

// Workflow is a set of rules that messages go through, in versions of which at most one is active. Its name is unique in
// the organisation, whatever the case of its letters.
type Workflow struct {
	ID            string        `json:"id"                bson:"_id"`
	Tenant        Tenant        `json:"tenant"            bson:"tenant"`
	GroupID       string        `json:"groupId,omitempty" bson:"groupId,omitempty"` // whose messages go through it; empty: all
	Name          string        `json:"name"              bson:"name"`
	ActiveVersion int64         `json:"activeVersion"     bson:"activeVersion"` // Number of the WorkflowVersion in use; 0: none
	Version       int64         `json:"version"           bson:"version"`
	CreatedAt     Millis        `json:"createdAt"         bson:"createdAt"`
	UpdatedAt     Millis        `json:"updatedAt"         bson:"updatedAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"     bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (w Workflow) Validate() error {
	bad := invalid{}
	bad.require(ValidID(w.ID), "id", "must be an id")
	bad.nest("tenant", w.Tenant.Validate())
	bad.require(w.GroupID == "" || ValidID(w.GroupID), "groupId", "must be an id")
	bad.require(validName(w.Name), "name", nameRule)
	bad.require(w.ActiveVersion >= 0, "activeVersion", "must not be negative")
	bad.nest("schemaVersion", w.SchemaVersion.Validate())
	return bad.err("workflow")
}

// WorkflowVersion is one state of a workflow's rules. It never changes: an edit makes the next one.
type WorkflowVersion struct {
	ID            string        `json:"id"                bson:"_id"`
	Tenant        Tenant        `json:"tenant"            bson:"tenant"` // UserID: who wrote it
	WorkflowID    string        `json:"workflowId"        bson:"workflowId"`
	Number        int64         `json:"number"            bson:"number"`     // from 1; unique in the workflow
	Definition    RawJSON       `json:"definition"        bson:"definition"` // conditions and steps
	Comment       string        `json:"comment,omitempty" bson:"comment,omitempty"`
	CreatedAt     Millis        `json:"createdAt"         bson:"createdAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"     bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (w WorkflowVersion) Validate() error {
	bad := invalid{}
	bad.require(ValidID(w.ID), "id", "must be an id")
	bad.nest("tenant", w.Tenant.Validate())
	bad.require(ValidID(w.WorkflowID), "workflowId", "must be an id")
	bad.require(w.Number >= 1, "number", "must be 1 or more")
	bad.require(w.Definition != "" && validRawJSON(w.Definition), "definition", rawJSONRule)
	bad.require(len(w.Comment) <= 2000, "comment", "must be at most 2000 bytes")
	bad.nest("schemaVersion", w.SchemaVersion.Validate())
	return bad.err("workflow version")
}
