// Package omni is the domain of omniservice: messages, contacts, channels, interactions, workflow state,
// the enums they are made of, and the kinds of error that every other package speaks.
//
// It imports the standard library only. JSON and BSON names are the wire and document names and do not
// change when a Go name does. Times are Millis: milliseconds since 1970-01-01T00:00:00Z.
package omni
