package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"omniservice/omni"
)

// awayCodes are the server's codes for "not now": no primary, shutting down, out of time, too few members.
var awayCodes = []int{
	6,     // HostUnreachable
	7,     // HostNotFound
	24,    // LockTimeout
	50,    // MaxTimeMSExpired
	64,    // WriteConcernFailed: it may be rolled back
	89,    // NetworkTimeout
	91,    // ShutdownInProgress
	100,   // UnsatisfiableWriteConcern
	112,   // WriteConflict
	133,   // FailedToSatisfyReadPreference
	134,   // ReadConcernMajorityNotAvailableYet
	189,   // PrimarySteppedDown
	202,   // NetworkInterfaceExceededTimeLimit
	234,   // RetryChangeStream
	262,   // ExceededTimeLimit
	317,   // ConnectionPoolExpired
	365,   // TemporarilyUnavailable
	462,   // IngressRequestRateLimitExceeded
	9001,  // SocketException
	10107, // NotWritablePrimary
	11600, // InterruptedAtShutdown
	11602, // InterruptedDueToReplStateChange
	13388, // StaleConfig
	13435, // NotPrimaryNoSecondaryOk
	13436, // NotPrimaryOrSecondary
}

// awayLabels are what the driver or the server says of errors that go away.
var awayLabels = []string{"NetworkError", "RetryableWriteError", "RetryableError", "TransientTransactionError", "SystemOverloadedError"}

// mapError gives what the driver reports its kind. The server's own text stays out: it quotes keys and documents.
func mapError(ctx context.Context, err error) error {
	var server mongo.ServerError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mongo.ErrNoDocuments):
		return omni.ErrNotFound
	case errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case omni.CodeOf(err) != omni.CodeInternal:
		return err // made by us
	case mongo.IsDuplicateKeyError(err):
		return omni.ErrConflict
	case errors.Is(err, mongo.ErrClientDisconnected):
		return fmt.Errorf("%w: %w", omni.ErrUnavailable, errClosed)
	case errors.As(err, &server):
		text := &serverError{codes: server.ErrorCodes()}
		if mongo.IsTimeout(err) || isAway(server) {
			return fmt.Errorf("%w: %w", omni.ErrUnavailable, text)
		}
		return text
	case mongo.IsTimeout(err):
		return fmt.Errorf("%w: %w: %w", omni.ErrUnavailable, context.DeadlineExceeded, err)
	case mongo.IsNetworkError(err), hasLabel(err):
		return fmt.Errorf("%w: %w", omni.ErrUnavailable, err)
	default:
		return err
	}
}

func isAway(err mongo.ServerError) bool {
	if slices.ContainsFunc(awayCodes, err.HasErrorCode) || slices.ContainsFunc(awayLabels, err.HasErrorLabel) {
		return true
	}
	// What was written, but not by as many members as it has to be, is not known to stay.
	if we, ok := errors.AsType[mongo.WriteException](err); ok {
		return we.WriteConcernError != nil
	}
	if we, ok := errors.AsType[mongo.BulkWriteException](err); ok {
		return we.WriteConcernError != nil
	}
	return false
}

func hasLabel(err error) bool {
	l, ok := errors.AsType[mongo.LabeledError](err)
	return ok && slices.ContainsFunc(awayLabels, l.HasErrorLabel)
}

// serverError is a refusal of the server, by its numbers alone.
type serverError struct{ codes []int }

// Error implements error.
func (e *serverError) Error() string {
	return fmt.Sprintf("MongoDB refused the command with code %v", e.codes)
}

// versionConflict is the error of an update whose filter named another version than the stored one.
func versionConflict(version int64) error {
	return fmt.Errorf("version is not %d: %w", version, omni.ErrConflict)
}

// isServerError finds the answer of the server in err.
func isServerError(err error, se *mongo.ServerError) bool { return errors.As(err, se) }

// isNone reports that nothing was found.
func isNone(err error) bool { return errors.Is(err, mongo.ErrNoDocuments) }

// firstError is the first of errs that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
