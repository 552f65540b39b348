//go:build race

package e2e_test

// raced says that the race detector is at work: it makes the program inside the test several times slower.
const raced = true
