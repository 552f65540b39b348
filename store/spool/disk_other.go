//go:build !unix

package spool

import "os"

// lock does nothing: elsewhere it is the operator who sees to it that a data directory is one program's.
func lock(*os.File) error { return nil }

// syncFolder does nothing: folders cannot be synced here.
func syncFolder(*os.File) error { return nil }
