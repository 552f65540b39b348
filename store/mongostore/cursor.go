package mongostore

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// place is a position in a list: what it is ordered by, a number or a text, and the id.
type place struct {
	Number int64  `bson:"n,omitempty"`
	Text   string `bson:"t,omitempty"`
	ID     string `bson:"i"`
}

const (
	maxCursor   = 4096 // characters
	cursorSum   = 8    // bytes
	defaultPage = 50
)

// cursorText encodes a place of the list that id names. It is bound to that list by a checksum, which is no secret:
// a forged cursor gives a place in the forger's own list, and nothing else.
func cursorText(list string, p place) (string, error) {
	b, err := bson.Marshal(p)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(b, cursorCheck(list, b)...)), nil
}

// parseCursor reads what cursorText wrote for the same list; anything else is omni.ErrInvalid.
func parseCursor(list, cursor string) (p place, err error) {
	bad := omni.Problemf(omni.ErrInvalid, "the cursor is not one of this list")
	if len(cursor) > maxCursor {
		return p, bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < cursorSum {
		return p, bad
	}
	b, sum := raw[:len(raw)-cursorSum], raw[len(raw)-cursorSum:]
	if subtle.ConstantTimeCompare(sum, cursorCheck(list, b)) != 1 {
		return p, bad
	}
	if bson.Unmarshal(b, &p) != nil {
		return place{}, bad
	}
	return p, nil
}

func cursorCheck(list string, b []byte) []byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %s", len(list), list)
	_, _ = h.Write(b)
	return h.Sum(nil)[:cursorSum]
}

// pageLimit is how many items a page has.
func pageLimit(n int) (int, error) {
	switch {
	case n < 0:
		return 0, omni.Problemf(omni.ErrInvalid, "a page has at least one item")
	case n == 0:
		return defaultPage, nil
	default:
		return min(n, store.MaxPage), nil
	}
}

// order is what a list is ordered by: a field, and then the id, in the same direction. An index has to begin with what the
// list's filter names, followed by these two.
type order struct {
	field string
	text  bool // the field is a text; else a number
	desc  bool // newest first
}

var (
	byName      = order{field: "name", text: true}
	newestFirst = order{field: "createdAt", desc: true}
	oldestFirst = order{field: "createdAt"}
)

// beyond adds to filter what comes after p in the order, or all of it if p is nil, so that the index is entered there.
func (o order) beyond(filter bson.D, p *place) bson.D {
	from, beyond := "$gte", "$gt"
	var at any = int64(math.MinInt64)
	if o.desc {
		from, beyond, at = "$lte", "$lt", int64(math.MaxInt64)
	}
	if o.text {
		at = ""
	}
	if p != nil {
		at = p.Number
		if o.text {
			at = p.Text
		}
	}
	filter = append(slices.Clip(filter), bson.E{Key: o.field, Value: bson.D{{Key: from, Value: at}}})
	if p == nil {
		return filter
	}
	return append(filter, bson.E{Key: "$or", Value: bson.A{
		bson.D{{Key: o.field, Value: bson.D{{Key: beyond, Value: at}}}},
		bson.D{{Key: "_id", Value: bson.D{{Key: beyond, Value: p.ID}}}},
	}})
}

func (o order) sort() bson.D {
	way := 1
	if o.desc {
		way = -1
	}
	return bson.D{{Key: o.field, Value: way}, {Key: "_id", Value: way}}
}

// page reads a page of the list that id names: the documents of c that filter finds, in order. It is for use within run.
func page[D any](ctx context.Context, c *mongo.Collection, list string, filter bson.D, o order, p store.Page, placeOf func(D) place) (store.List[D], error) {
	limit, err := pageLimit(p.Limit)
	if err != nil {
		return store.List[D]{}, err
	}
	var from *place
	if p.Cursor != "" {
		at, err := parseCursor(list, p.Cursor)
		if err != nil {
			return store.List[D]{}, err
		}
		from = &at
	}
	docs, err := all[D](ctx, c, o.beyond(filter, from), options.Find().SetSort(o.sort()).SetLimit(int64(limit)+1))
	if err != nil || len(docs) <= limit {
		return store.List[D]{Items: docs}, err
	}
	next, err := cursorText(list, placeOf(docs[limit-1]))
	return store.List[D]{Items: docs[:limit], Next: next}, err
}
