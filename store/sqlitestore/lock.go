package sqlitestore

import (
	"errors"
	"fmt"
	"io"
	"os"

	"omniservice/omni"
)

// lockSuffix names the file beside a store by which programs see that it is in use. It stays when they end.
const lockSuffix = ".lock"

var errInUse = errors.New("it is in use by another program")

// inUse says that this process uses the store at path, until it is closed. Any number of them can; one that has Exclusive
// keeps them out.
func inUse(path string) (io.Closer, error) { return lockFile(path+lockSuffix, false) }

// Exclusive keeps everybody else from opening the store at path until it is closed. A store that is open, here or
// anywhere, is omni.ErrConflict. There need not be one.
func Exclusive(path string) (io.Closer, error) {
	l, err := lockFile(path+lockSuffix, true)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l, nil
}

func lockFile(path string, alone bool) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304,G703 -- the operator names the file
	if err != nil {
		return nil, err
	}
	if err := lock(f, alone); err != nil {
		_ = f.Close()
		if errors.Is(err, errInUse) {
			err = fmt.Errorf("%w: %w", omni.ErrConflict, err)
		}
		return nil, err
	}
	return f, nil
}
