//go:build race

package e2e

import "time"

// Raced says that the race detector is at work: it makes the program inside the test several times slower.
const Raced = true

// Patience is how long a test waits for something that must come.
const Patience = time.Minute
