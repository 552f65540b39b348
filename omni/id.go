package omni

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Millis is a moment in milliseconds since 1970-01-01T00:00:00Z. Zero means "not yet" or "unknown".
type Millis int64

// MillisOf converts t, losing what is finer than a millisecond. The zero time gives 0.
func MillisOf(t time.Time) Millis {
	if t.IsZero() {
		return 0
	}
	return Millis(t.UnixMilli())
}

// Time returns the moment in UTC. Zero gives the zero time.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// Add moves m by d, to the millisecond.
func (m Millis) Add(d time.Duration) Millis { return m + Millis(d.Milliseconds()) }

// idClock keeps ids of one process in the order in which they were made.
var idClock struct {
	sync.Mutex
	last uint64 // milliseconds << 12 | counter
}

// NewID returns a UUIDv7 (RFC 9562 §5.7) in text form. Ids made by one process sort in the order in which
// they were made: the 12 bits after the time count up within a millisecond.
func NewID() string { return NewIDAt(time.Now()) }

// NewIDAt is NewID for a given moment. A moment before that of an earlier id does not make ids go back.
func NewIDAt(t time.Time) string {
	stamp := uint64(min(max(t.UnixMilli(), 0), 1<<48-1)) << 12 // the years 1970 to 10889
	idClock.Lock()
	if stamp <= idClock.last {
		stamp = idClock.last + 1
	}
	idClock.last = stamp
	idClock.Unlock()

	var u [16]byte
	_, _ = rand.Read(u[8:]) // never fails since Go 1.24
	ms := stamp >> 12
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6] = 0x70 | byte(stamp>>8)&0x0f
	u[7] = byte(stamp)
	u[8] = 0x80 | u[8]&0x3f

	var out [36]byte
	hex.Encode(out[0:8], u[0:4])
	out[8] = '-'
	hex.Encode(out[9:13], u[4:6])
	out[13] = '-'
	hex.Encode(out[14:18], u[6:8])
	out[18] = '-'
	hex.Encode(out[19:23], u[8:10])
	out[23] = '-'
	hex.Encode(out[24:36], u[10:16])
	return string(out[:])
}

// ValidID reports whether s is a UUID in its canonical lower-case text form, which is the only form ids take here.
func ValidID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// NewToken returns n random bytes as lower-case hex, for public ids and secrets that must not be guessed.
// 16 bytes are 128 bits.
func NewToken(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
