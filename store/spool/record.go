package spool

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"omniservice/omni"
)

// A record on disk, numbers big-endian:
//
//	 0  marker, with the version of the format
//	 4  length of the body
//	 8  sequence
//	16  when it was appended, in milliseconds
//	24  CRC-32C of bytes 4 to 23 and of the body
//	28  body: length of the key's id, the key's id, nonce, and what was appended, sealed with AES-256-GCM
//
// Nothing else is in a segment. So whatever is damaged, the next record is found by its marker and its checksum.
const (
	headerSize = 28
	maxBody    = MaxRecord + 512 // of a body on disk, with key id, nonce and tag
)

var (
	marker     = []byte{0xf5, 'S', 'P', 1}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errSealed  = errors.New("sealed under a key that is not known, or altered")
)

// framed is a record as it stands in a segment.
type framed struct {
	seq  uint64
	at   omni.Millis
	body []byte
	size int // in the segment
}

// appendFrame adds a record to b, with room for sequence and checksum.
func appendFrame(b []byte, at omni.Millis, body []byte) []byte {
	b = append(b, marker...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint32(b, 0)
	return append(b, body...)
}

// number gives a frame its sequence, and its checksum with it.
func number(frame []byte, seq uint64) {
	binary.BigEndian.PutUint64(frame[8:], seq)
	binary.BigEndian.PutUint32(frame[24:], checksum(frame))
}

func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[4:24], castagnoli), castagnoli, frame[headerSize:])
}

// whole reads the record at the beginning of b. It is no record unless all of it is there and as it was written.
func whole(b []byte) (framed, bool) {
	if len(b) < headerSize || string(b[:4]) != string(marker) {
		return framed{}, false
	}
	length := binary.BigEndian.Uint32(b[4:])
	if length > maxBody || uint64(length) > uint64(len(b)-headerSize) {
		return framed{}, false
	}
	size := headerSize + int(length)
	if checksum(b[:size]) != binary.BigEndian.Uint32(b[24:]) {
		return framed{}, false
	}
	return framed{
		seq: binary.BigEndian.Uint64(b[8:]), at: omni.Millis(binary.BigEndian.Uint64(b[16:])),
		body: b[headerSize:size], size: size,
	}, true
}

// reaches says whether a record begins at the beginning of b that may go on behind its end.
func reaches(b []byte) bool {
	if len(b) < headerSize {
		return bytes.HasPrefix(marker, b[:min(len(b), len(marker))])
	}
	length := binary.BigEndian.Uint32(b[4:])
	return string(b[:4]) == string(marker) && length <= maxBody && uint64(length) > uint64(len(b)-headerSize)
}

// resume returns how many bytes of b are no record: up to where the next whole one begins, or all.
func resume(b []byte) int {
	for from := 1; from < len(b); from++ {
		i := bytes.Index(b[from:], marker)
		if i < 0 {
			return len(b)
		}
		from += i
		if _, ok := whole(b[from:]); ok {
			return from
		}
	}
	return len(b)
}

// Key seals records.
type Key struct {
	ID  string // at most 255 bytes
	Key []byte // 32 bytes
}

// seals are the keys of a spool, the first of which seals.
type seals struct {
	current string
	aeads   map[string]cipher.AEAD
}

func newSeals(keys []Key) (*seals, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("a spool needs a key: %w", omni.ErrInvalid)
	}
	s := &seals{current: keys[0].ID, aeads: make(map[string]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if len(k.ID) > 255 || len(k.Key) != 32 {
			return nil, fmt.Errorf("spool key %q must have 32 bytes and a short id: %w", k.ID, omni.ErrInvalid)
		}
		block, err := aes.NewCipher(k.Key)
		if err != nil {
			return nil, fmt.Errorf("spool key %q: %w", k.ID, err)
		}
		if s.aeads[k.ID], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("spool key %q: %w", k.ID, err)
		}
	}
	return s, nil
}

// additional data binds a record to its format and its time.
func sealedFor(at omni.Millis) []byte {
	return binary.BigEndian.AppendUint64([]byte("omniservice spool 1 "), uint64(at))
}

func (s *seals) seal(at omni.Millis, data []byte) []byte {
	aead := s.aeads[s.current]
	b := make([]byte, 0, 1+len(s.current)+aead.NonceSize()+len(data)+aead.Overhead())
	b = append(b, byte(len(s.current)))
	b = append(b, s.current...)
	nonce := b[len(b) : len(b)+aead.NonceSize()]
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(b[:len(b)+len(nonce)], nonce, data, sealedFor(at))
}

func (s *seals) open(f framed) ([]byte, error) {
	if len(f.body) == 0 || len(f.body) < 1+int(f.body[0]) {
		return nil, errSealed
	}
	rest := f.body[1+f.body[0]:]
	aead, ok := s.aeads[string(f.body[1:1+f.body[0]])]
	if !ok || len(rest) < aead.NonceSize() {
		return nil, errSealed
	}
	data, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], sealedFor(f.at))
	if err != nil {
		return nil, errSealed
	}
	return data, nil
}
