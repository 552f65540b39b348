//go:build !race

package e2e

import "time"

// Raced says that the race detector is at work.
const Raced = false

// Patience is how long a test waits for something that must come.
const Patience = 20 * time.Second
