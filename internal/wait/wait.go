// Package wait waits in a way that can be ended.
package wait

import (
	"context"
	"time"
)

// For waits for d, or for the end of ctx, which is the error. A d of 0 or less only asks whether ctx has ended.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
