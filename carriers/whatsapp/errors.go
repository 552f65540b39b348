package whatsapp

import (
	"slices"
	"strconv"

	"omniservice/carriers"
	"omniservice/omni"
)

// ErrorCode is why Meta refused something. It comes with the answer of a call, with a status, with a message or alone; what
// it means is the same everywhere. (Seed: WhatsAppErrorCodes.)
type ErrorCode string

// The error codes. Others are taken too: see reasonOfAnswer.
const (
	CodeAuthException       ErrorCode = "0"
	CodeUnknown             ErrorCode = "1"
	CodeService             ErrorCode = "2"
	CodeMethod              ErrorCode = "3"
	CodeTooManyCalls        ErrorCode = "4"
	CodePermission          ErrorCode = "10"
	CodeParameterValue      ErrorCode = "33"
	CodeInvalidParameter    ErrorCode = "100"
	CodeTokenExpired        ErrorCode = "190"
	CodePermissionGeneral   ErrorCode = "200"
	CodePolicyBlocked       ErrorCode = "368"
	CodeAccountRateLimit    ErrorCode = "80007"
	CodeForbidden           ErrorCode = "130403"
	CodeThroughput          ErrorCode = "130429"
	CodeExperiment          ErrorCode = "130472"
	CodeCountryRestricted   ErrorCode = "130497"
	CodeSomethingWrong      ErrorCode = "131000"
	CodeAccessDenied        ErrorCode = "131005"
	CodeMissingParameter    ErrorCode = "131008"
	CodeParameterNotValid   ErrorCode = "131009"
	CodeMediaURL            ErrorCode = "131014"
	CodeUnavailable         ErrorCode = "131016"
	CodeSameRecipient       ErrorCode = "131021"
	CodeUndeliverable       ErrorCode = "131026"
	CodeNotAllowedRecipient ErrorCode = "131030"
	CodeAccountLocked       ErrorCode = "131031"
	CodeDisplayName         ErrorCode = "131037"
	CodePayment             ErrorCode = "131042"
	CodePaymentCalling      ErrorCode = "131044"
	CodeCertificate         ErrorCode = "131045"
	CodeReengagement        ErrorCode = "131047"
	CodeSpam                ErrorCode = "131048"
	CodeEcosystem           ErrorCode = "131049"
	CodeMarketingStopped    ErrorCode = "131050"
	CodeMessageType         ErrorCode = "131051"
	CodeMediaDownload       ErrorCode = "131052"
	CodeMediaUpload         ErrorCode = "131053"
	CodeMethodNotAllowed    ErrorCode = "131055"
	CodePairRate            ErrorCode = "131056"
	CodeMaintenance         ErrorCode = "131057"
	CodeInboundUnavailable  ErrorCode = "131060"
	CodeRecipientUserID     ErrorCode = "131062"
	CodeMarketingDisabled   ErrorCode = "131063"
	CodeMisclassified       ErrorCode = "131064"
	CodeTemplateParameters  ErrorCode = "132000"
	CodeTemplateMissing     ErrorCode = "132001"
	CodeTemplateTooLong     ErrorCode = "132005"
	CodeTemplatePolicy      ErrorCode = "132007"
	CodeTemplateFormat      ErrorCode = "132008"
	CodeTemplateMismatch    ErrorCode = "132012"
	CodeTemplatePaused      ErrorCode = "132015"
	CodeTemplateDisabled    ErrorCode = "132016"
	CodeFlowBlocked         ErrorCode = "132068"
	CodeFlowThrottled       ErrorCode = "132069"
	CodeDeregistration      ErrorCode = "133000"
	CodeServerUnavailable   ErrorCode = "133004"
	CodePIN                 ErrorCode = "133005"
	CodeVerifyNumber        ErrorCode = "133006"
	CodePINGuesses          ErrorCode = "133008"
	CodePINTooFast          ErrorCode = "133009"
	CodeNotRegistered       ErrorCode = "133010"
	CodeDeletedRecently     ErrorCode = "133015"
	CodeRegistrationLimit   ErrorCode = "133016"
	CodePaymentTerms        ErrorCode = "134011"
	CodeGeneric             ErrorCode = "135000"
	CodeIdentityHash        ErrorCode = "137000"
	CodeBlockFailed         ErrorCode = "139100"
	CodeBlockListFull       ErrorCode = "139101"
	CodeBlockConcurrent     ErrorCode = "139102"
	CodeBlockInternal       ErrorCode = "139103"
)

// ErrorCodes lists every error code, in the order of their numbers.
var ErrorCodes = []ErrorCode{
	CodeAuthException, CodeUnknown, CodeService, CodeMethod, CodeTooManyCalls, CodePermission, CodeParameterValue,
	CodeInvalidParameter, CodeTokenExpired, CodePermissionGeneral, CodePolicyBlocked, CodeAccountRateLimit,
	CodeForbidden, CodeThroughput, CodeExperiment, CodeCountryRestricted, CodeSomethingWrong, CodeAccessDenied,
	CodeMissingParameter, CodeParameterNotValid, CodeMediaURL, CodeUnavailable, CodeSameRecipient, CodeUndeliverable,
	CodeNotAllowedRecipient, CodeAccountLocked, CodeDisplayName, CodePayment, CodePaymentCalling, CodeCertificate,
	CodeReengagement, CodeSpam, CodeEcosystem, CodeMarketingStopped, CodeMessageType, CodeMediaDownload, CodeMediaUpload,
	CodeMethodNotAllowed, CodePairRate, CodeMaintenance, CodeInboundUnavailable, CodeRecipientUserID,
	CodeMarketingDisabled, CodeMisclassified, CodeTemplateParameters, CodeTemplateMissing, CodeTemplateTooLong,
	CodeTemplatePolicy, CodeTemplateFormat, CodeTemplateMismatch, CodeTemplatePaused, CodeTemplateDisabled,
	CodeFlowBlocked, CodeFlowThrottled, CodeDeregistration, CodeServerUnavailable, CodePIN, CodeVerifyNumber,
	CodePINGuesses, CodePINTooFast, CodeNotRegistered, CodeDeletedRecently, CodeRegistrationLimit, CodePaymentTerms,
	CodeGeneric, CodeIdentityHash, CodeBlockFailed, CodeBlockListFull, CodeBlockConcurrent, CodeBlockInternal,
}

// Valid reports whether c is one of ErrorCodes.
func (c ErrorCode) Valid() bool { return slices.Contains(ErrorCodes, c) }

// class is what kind of failure a code is.
type class byte

// The classes.
const (
	permanent     class = 'P' // this message will never go
	retry         class = 'R' // another try may work
	policy        class = 'L' // a limit or a rule: another try would make it worse
	configuration class = 'C' // nothing goes until somebody changes the account
)

// failure is what a code means.
type failure struct {
	class   class
	reason  omni.Reason
	meaning string // what happened, for an agent
	advice  string // what to do
	wait    int    // seconds until another try is of use, where Meta says so; 0: as long as any
}

const (
	askAdmin   = "An admin has to look at the account at Meta."
	tellAdmin  = "Tell an admin: this has to be changed here or at Meta."
	noRetry    = "Do not send it again; use another channel."
	later      = "Try it again in a while."
	fixMessage = "Change the message and send it again."
)

// failures is the one table of codes. Source: "Error codes", read 2026-11-23; which reason a code has is our reading of it.
var failures = map[ErrorCode]failure{
	CodeAuthException:     {configuration, omni.ReasonMisconfigured, "Meta does not take the access token.", askAdmin, 0},
	CodeUnknown:           {retry, omni.ReasonUnreachable, "Meta had a fault that it does not name.", later, 0},
	CodeService:           {retry, omni.ReasonUnreachable, "WhatsApp was away for a moment.", later, 0},
	CodeMethod:            {configuration, omni.ReasonMisconfigured, "The access token lacks a permission.", askAdmin, 0},
	CodeTooManyCalls:      {retry, omni.ReasonThrottled, "The app made too many calls.", later, 0},
	CodePermission:        {configuration, omni.ReasonMisconfigured, "The access token lacks a permission, or it was taken away.", askAdmin, 0},
	CodeParameterValue:    {configuration, omni.ReasonMisconfigured, "Meta does not know our number any more.", "An admin has to check the phone number id.", 0},
	CodeInvalidParameter:  {permanent, omni.ReasonMalformed, "Meta does not take a part of this message.", fixMessage, 0},
	CodeTokenExpired:      {configuration, omni.ReasonMisconfigured, "The access token has expired or was revoked.", "An admin has to enter a new access token.", 0},
	CodePermissionGeneral: {configuration, omni.ReasonMisconfigured, "The access token lacks a permission.", askAdmin, 0},
	CodePolicyBlocked:     {configuration, omni.ReasonMisconfigured, "Meta has restricted the account for a breach of its rules.", askAdmin, 0},
	CodeAccountRateLimit:  {retry, omni.ReasonThrottled, "The account made too many calls.", later, 0},
	CodeForbidden:         {configuration, omni.ReasonMisconfigured, "The account may not use this part of WhatsApp.", askAdmin, 0},
	CodeThroughput:        {retry, omni.ReasonThrottled, "Our number sent too much at once.", later, 0},
	CodeExperiment:        {permanent, omni.ReasonRejected, "Meta withholds such messages from this person for an experiment.", noRetry, 0},
	CodeCountryRestricted: {policy, omni.ReasonRejected, "The account may not write to people in that country.", noRetry, 0},

	CodeSomethingWrong:      {retry, omni.ReasonUnreachable, "WhatsApp had a fault that it does not name.", later, 0},
	CodeAccessDenied:        {configuration, omni.ReasonMisconfigured, "The access token may not send for this number.", askAdmin, 0},
	CodeMissingParameter:    {permanent, omni.ReasonMalformed, "A part of the message is missing.", fixMessage, 0},
	CodeParameterNotValid:   {permanent, omni.ReasonMalformed, "A part of the message has a value that WhatsApp does not take.", fixMessage, 0},
	CodeMediaURL:            {retry, omni.ReasonUnreachable, "WhatsApp could not fetch the file.", later, 0},
	CodeUnavailable:         {retry, omni.ReasonUnreachable, "WhatsApp was away for a moment.", later, 0},
	CodeSameRecipient:       {permanent, omni.ReasonRejected, "A number cannot write to itself.", "Choose another recipient.", 0},
	CodeUndeliverable:       {permanent, omni.ReasonRejected, "It cannot be delivered: this person is not on WhatsApp, has an old version, has not accepted its terms, or blocks us.", noRetry, 0},
	CodeNotAllowedRecipient: {permanent, omni.ReasonRejected, "A test number writes only to those on its list.", "Add the recipient to the list at Meta.", 0},
	CodeAccountLocked:       {configuration, omni.ReasonMisconfigured, "Meta has locked the account.", askAdmin, 0},
	CodeDisplayName:         {configuration, omni.ReasonMisconfigured, "The display name of our number is not approved.", askAdmin, 0},
	CodePayment:             {configuration, omni.ReasonMisconfigured, "There is a problem with paying for the account.", askAdmin, 0},
	CodePaymentCalling:      {configuration, omni.ReasonMisconfigured, "There is a problem with paying for calls.", askAdmin, 0},
	CodeCertificate:         {configuration, omni.ReasonMisconfigured, "Our number is not registered as it should be.", "An admin has to register the number again.", 0},
	CodeReengagement:        {policy, omni.ReasonWindowClosed, "More than 24 hours have passed since they last wrote.", "Send an approved template instead.", 0},
	CodeSpam:                {policy, omni.ReasonRejected, "Our number is restricted because people blocked or reported it.", "Stop campaigns for some hours and tell an admin.", 0},
	CodeEcosystem:           {policy, omni.ReasonRejected, "Meta did not deliver it: this person gets as much marketing as Meta allows.", "Do not send it again within 24 hours.", 0},
	CodeMarketingStopped:    {policy, omni.ReasonOptedOut, "This person has stopped marketing messages from us.", "Do not send them marketing.", 0},
	CodeMessageType:         {permanent, omni.ReasonMalformed, "WhatsApp does not take this kind of message.", "Send it another way.", 0},
	CodeMediaDownload:       {retry, omni.ReasonUnreachable, "The file that they sent could not be downloaded.", "Ask for it to be sent again.", 0},
	CodeMediaUpload:         {retry, omni.ReasonUnreachable, "WhatsApp could not take the file.", "Check its type and size if it goes on.", 0},
	CodeMethodNotAllowed:    {configuration, omni.ReasonMisconfigured, "The account may not use this part of WhatsApp.", askAdmin, 0},
	CodePairRate:            {retry, omni.ReasonThrottled, "Too many messages went to this person in a short time.", later, 0},
	CodeMaintenance:         {retry, omni.ReasonUnreachable, "The account is in maintenance for some minutes.", later, 60},
	CodeInboundUnavailable:  {permanent, omni.ReasonRejected, "They wrote something that can be seen in the phone app alone.", "Look in the phone app.", 0},
	CodeRecipientUserID:     {permanent, omni.ReasonRejected, "This kind of message needs a phone number, and we have only a user name.", "Ask for their number.", 0},
	CodeMarketingDisabled:   {configuration, omni.ReasonMisconfigured, "The account sends marketing through another service.", tellAdmin, 0},
	CodeMisclassified:       {policy, omni.ReasonRejected, "The account is limited because templates were filed under the wrong category.", "Stop sending templates and tell an admin.", 0},

	CodeTemplateParameters: {permanent, omni.ReasonMalformed, "The template has another number of places than were filled.", "Load the templates again and fill in all places.", 0},
	CodeTemplateMissing:    {permanent, omni.ReasonMalformed, "There is no approved template of that name in that language.", "Load the templates again and choose another.", 0},
	CodeTemplateTooLong:    {permanent, omni.ReasonMalformed, "The template is too long once it is filled in.", "Shorten what you filled in.", 0},
	CodeTemplatePolicy:     {policy, omni.ReasonRejected, "What the template says breaks a rule of WhatsApp.", "Use another template.", 0},
	CodeTemplateFormat:     {permanent, omni.ReasonMalformed, "Something filled in has line breaks, tabs or long runs of spaces.", fixMessage, 0},
	CodeTemplateMismatch:   {permanent, omni.ReasonMalformed, "Something filled in is of another kind than the template wants.", fixMessage, 0},
	CodeTemplatePaused:     {policy, omni.ReasonRejected, "Meta has paused the template because people disliked it.", "Use another template.", 0},
	CodeTemplateDisabled:   {policy, omni.ReasonRejected, "Meta has switched the template off for good.", "Use another template.", 0},
	CodeFlowBlocked:        {policy, omni.ReasonRejected, "The form is blocked.", tellAdmin, 0},
	CodeFlowThrottled:      {retry, omni.ReasonThrottled, "The form was sent too often: it may go out 10 times an hour.", later, 0},

	CodeDeregistration:    {retry, omni.ReasonUnreachable, "Our number is still being deregistered.", later, 0},
	CodeServerUnavailable: {retry, omni.ReasonUnreachable, "WhatsApp was away for a moment.", later, 0},
	CodePIN:               {configuration, omni.ReasonMisconfigured, "The PIN of our number is wrong.", askAdmin, 0},
	CodeVerifyNumber:      {configuration, omni.ReasonMisconfigured, "Our number has to be verified again.", askAdmin, 0},
	CodePINGuesses:        {policy, omni.ReasonRejected, "The PIN of our number was wrong too often.", "Wait before you try again.", 0},
	CodePINTooFast:        {policy, omni.ReasonRejected, "The PIN of our number was tried too fast.", "Wait before you try again.", 0},
	CodeNotRegistered:     {configuration, omni.ReasonMisconfigured, "Our number is not registered with WhatsApp.", "An admin has to register the number.", 0},
	CodeDeletedRecently:   {retry, omni.ReasonUnreachable, "Our number was deleted not long ago.", "It is tried again in some minutes.", 300},
	CodeRegistrationLimit: {policy, omni.ReasonRejected, "Our number was registered too often.", "Wait for three days.", 0},
	CodePaymentTerms:      {configuration, omni.ReasonMisconfigured, "The terms for payments are not accepted.", askAdmin, 0},
	CodeGeneric:           {permanent, omni.ReasonMalformed, "Meta does not take a part of this message.", fixMessage, 0},
	CodeIdentityHash:      {policy, omni.ReasonRejected, "This person may have changed: their security code is another.", "Make sure who they are, then send it again.", 0},
	CodeBlockFailed:       {permanent, omni.ReasonRejected, "Some of them could not be blocked.", "Look at the list of those who are blocked.", 0},
	CodeBlockListFull:     {permanent, omni.ReasonRejected, "No more people can be blocked.", "Take somebody off the list first.", 0},
	CodeBlockConcurrent:   {retry, omni.ReasonUnreachable, "The list of blocked people was changed at the same time.", later, 0},
	CodeBlockInternal:     {retry, omni.ReasonUnreachable, "WhatsApp could not change the list of blocked people.", later, 0},
}

// tries are how often a message is sent at most that is refused with a code: what does not help soon does not help. Others are
// tried for as long as a message is of use.
var tries = map[ErrorCode]int{CodeUnknown: 2, CodeSomethingWrong: 3, CodeMediaURL: 2, CodeMediaUpload: 2}

// find returns what a code means. All codes from 200 to 299 are about permissions.
func (c ErrorCode) find() (failure, bool) {
	if n, err := strconv.Atoi(string(c)); err == nil && n >= 200 && n <= 299 {
		c = CodePermissionGeneral
	}
	f, ok := failures[c]
	return f, ok
}

// codeOf is a code as it was sent: a short number, else "".
func codeOf(s string) ErrorCode {
	if len(s) > 16 || !isDigits(s) {
		return ""
	}
	return ErrorCode(s)
}

// reasonOfAnswer says why a call failed. A code that we do not know may be tried again if Meta says that it passes, or had
// a fault of its own.
func reasonOfAnswer(e *GraphError) omni.Reason {
	f, ok := e.Code.find()
	switch {
	case ok:
		return f.reason
	case e.Status == 429:
		return omni.ReasonThrottled
	case e.Transient || e.Status >= 500:
		return omni.ReasonUnreachable
	default:
		return carriers.ReasonOfStatus(e.Status)
	}
}

// reasonOfStatus says why a message has a status, given the code that came with it. A code that we do not know, or none,
// is a refusal: only a code can say that another try is right.
func reasonOfStatus(s omni.Status, code ErrorCode) omni.Reason {
	if s != omni.StatusFailed {
		return ""
	}
	if f, ok := code.find(); ok {
		return f.reason
	}
	return omni.ReasonRejected
}

// Explain implements carriers.Explainer.
func (*Provider) Explain(code string) (meaning, advice string, ok bool) {
	f, ok := ErrorCode(code).find()
	return f.meaning, f.advice, ok
}
