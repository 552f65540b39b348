package mongostore

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
)

// Monitor hears of the commands that go to MongoDB, for metrics and traces. It never gets what is in them.
// It is called from many goroutines, and must not block.
type Monitor interface {
	// Begin is called when a command is sent: its name, such as "find", and the collection, "" if it has none. The
	// function that it returns, if any, is called once the command has ended.
	Begin(ctx context.Context, command, collection string) (end func(took time.Duration, failed bool))
}

// commandMonitor joins what hears of commands into what the driver wants; nil if nobody does.
func commandMonitor(o Options) *event.CommandMonitor {
	if o.Monitor == nil {
		return o.commands
	}
	type end func(took time.Duration, failed bool)
	var open sync.Map // request id -> end
	finish := func(id int64, took time.Duration, failed bool) {
		if e, ok := open.LoadAndDelete(id); ok {
			e.(end)(took, failed)
		}
	}
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			collection, _ := e.Command.Lookup(e.CommandName).StringValueOK()
			if done := o.Monitor.Begin(ctx, e.CommandName, collection); done != nil {
				open.Store(e.RequestID, end(done))
			}
			if o.commands != nil {
				o.commands.Started(ctx, e)
			}
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { finish(e.RequestID, e.Duration, false) },
		Failed:    func(_ context.Context, e *event.CommandFailedEvent) { finish(e.RequestID, e.Duration, true) },
	}
}
