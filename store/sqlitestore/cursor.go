package sqlitestore

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	"omniservice/omni"
	"omniservice/store"
)

// key is a place in a list: what it is ordered by, a number or a text, and the id.
type key struct {
	number int64
	text   string
	id     string
}

// Where lists begin: before every record.
var (
	firstText   = key{}
	firstNewest = key{number: math.MaxInt64}
	firstOldest = key{number: math.MinInt64}
)

const (
	maxCursor = 2048 // characters
	cursorSum = 8    // bytes
)

// cursorText encodes a place of the list that id names. It is bound to that list by a checksum, which is no secret:
// a forged cursor gives a place in the forger's own list, and nothing else.
func cursorText(list string, k key) string {
	b := binary.AppendVarint(nil, k.number)
	b = binary.AppendUvarint(b, uint64(len(k.text)))
	b = append(b, k.text...)
	b = append(b, k.id...)
	return base64.RawURLEncoding.EncodeToString(append(b, cursorCheck(list, b)...))
}

// parseCursor reads what cursorText wrote for the same list; anything else is omni.ErrInvalid.
func parseCursor(list, cursor string) (key, error) {
	bad := func() (key, error) {
		return key{}, omni.Problemf(omni.ErrInvalid, "the cursor is not one of this list")
	}
	if len(cursor) > maxCursor {
		return bad()
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < cursorSum {
		return bad()
	}
	b, sum := raw[:len(raw)-cursorSum], raw[len(raw)-cursorSum:]
	if subtle.ConstantTimeCompare(sum, cursorCheck(list, b)) != 1 {
		return bad()
	}
	number, n := binary.Varint(b)
	if n <= 0 {
		return bad()
	}
	b = b[n:]
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return bad()
	}
	b = b[n:]
	return key{number, string(b[:length]), string(b[length:])}, nil
}

func cursorCheck(list string, b []byte) []byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %s", len(list), list)
	_, _ = h.Write(b)
	return h.Sum(nil)[:cursorSum]
}

// start returns where a page of a list begins, and how many items it has.
func start(list string, p store.Page, first key) (key, int, error) {
	limit := p.Limit
	switch {
	case limit < 0:
		return key{}, 0, omni.Problemf(omni.ErrInvalid, "a page has at least one item")
	case limit == 0:
		limit = defaultPage
	case limit > store.MaxPage:
		limit = store.MaxPage
	}
	if p.Cursor == "" {
		return first, limit, nil
	}
	k, err := parseCursor(list, p.Cursor)
	return k, limit, err
}

const defaultPage = 50

// pageOf cuts limit items off all, which has one more if the list goes on.
func pageOf[T any](list string, all []T, limit int, keyOf func(T) key) store.List[T] {
	if len(all) <= limit {
		return store.List[T]{Items: all}
	}
	all = all[:limit]
	return store.List[T]{Items: all, Next: cursorText(list, keyOf(all[limit-1]))}
}
