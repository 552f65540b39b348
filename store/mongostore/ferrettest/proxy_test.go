package ferrettest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A proxy stands between the store and a server, and hands on one command after the other of each connection.
//
// The one in front of FerretDB gives it two things that MongoDB has, and without which no test of callers at the same
// instant could say anything:
//
//   - FerretDB finds the documents of an update, and then changes them: of conditional updates at the same instant
//     several can win. MongoDB changes a document by one command at a time. So the proxy lets through one writing command
//     for each database at a time; which of them comes first is still left to chance.
//   - FerretDB tells of a unique key that an update runs into as code 1. The proxy makes it 11000, as it is after inserts.
//
// Others cut connections: see cuts.
type proxy struct {
	l       net.Listener
	target  string
	handle  func(c command, send func() ([]byte, error)) ([]byte, error)
	done    sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	conns   map[net.Conn]bool
	stopped context.CancelFunc
	ctx     context.Context // that of its own connections
}

// command is a message of a client.
type command struct {
	name     string // such as "findAndModify"; "" if it could not be read
	database string
	coll     string
}

const (
	headerSize = 16
	opMsg      = 2013
	maxMessage = 48 << 20
)

var errCut = errors.New("cut")

// newProxy listens. handle is called for each message, and gives the answer: that of send, if it likes. An error cuts the
// connection.
func newProxy(target string, handle func(c command, send func() ([]byte, error)) ([]byte, error)) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, target: hostOf(target), handle: handle, conns: map[net.Conn]bool{}}
	p.ctx, p.stopped = context.WithCancel(context.Background())
	p.done.Go(p.accept)
	return p, nil
}

func (p *proxy) uri() string { return "mongodb://" + p.l.Addr().String() + "/" }

func hostOf(uri string) string { return strings.Trim(strings.TrimPrefix(uri, "mongodb://"), "/") }

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.stopped()
	_ = p.l.Close()
	p.done.Wait()
}

// keep remembers a connection until drop; false if the proxy is closed.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		if p.keep(c) {
			p.done.Go(func() { p.serve(c) })
		}
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	server, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.target)
	if err != nil || !p.keep(server) {
		return
	}
	defer p.drop(server)
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		answer, err := p.handle(commandOf(request), func() ([]byte, error) {
			if _, err := server.Write(request); err != nil {
				return nil, err
			}
			return readMessage(server)
		})
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func readMessage(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n < headerSize || n > maxMessage {
		return nil, io.ErrUnexpectedEOF
	}
	m := make([]byte, n)
	copy(m, size[:])
	_, err := io.ReadFull(r, m[4:])
	return m, err
}

// bodyOf is the first document of an OP_MSG, where its kind says that it is the body.
func bodyOf(m []byte) (body bson.Raw, ok bool) {
	const start = headerSize + 4 + 1 // flags, kind of the section
	if len(m) < start+4 || binary.LittleEndian.Uint32(m[12:]) != opMsg || m[start-1] != 0 {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint32(m[start:]))
	if n > len(m)-start {
		return nil, false
	}
	return m[start : start+n], true
}

func commandOf(m []byte) (c command) {
	body, ok := bodyOf(m)
	if !ok {
		return c
	}
	first, err := body.IndexErr(0)
	if err != nil {
		return c
	}
	c.name = first.Key()
	c.coll, _ = first.Value().StringValueOK()
	c.database, _ = body.Lookup("$db").StringValueOK()
	return c
}

var writing = []string{"insert", "update", "delete", "findAndModify"}

// oneWriteAtATime is what the proxy in front of FerretDB does.
func oneWriteAtATime() func(c command, send func() ([]byte, error)) ([]byte, error) {
	var mu sync.Mutex
	turns := map[string]*sync.Mutex{}
	turn := func(database string) *sync.Mutex {
		mu.Lock()
		defer mu.Unlock()
		if turns[database] == nil {
			turns[database] = &sync.Mutex{}
		}
		return turns[database]
	}
	return func(c command, send func() ([]byte, error)) ([]byte, error) {
		if !slices.Contains(writing, c.name) {
			return send()
		}
		t := turn(c.database)
		t.Lock()
		defer t.Unlock()
		answer, err := send()
		return duplicateKeys(answer), err
	}
}

// duplicateKeys mends the code of an answer that tells of a unique key.
func duplicateKeys(m []byte) []byte {
	body, ok := bodyOf(m)
	if !ok {
		return m
	}
	if text, _ := body.Lookup("errmsg").StringValueOK(); !strings.Contains(text, "UNIQUE constraint failed") {
		return m
	}
	var d bson.D
	if bson.Unmarshal(body, &d) != nil {
		return m
	}
	for i, e := range d {
		switch e.Key {
		case "code":
			d[i].Value = int32(11000)
		case "codeName":
			d[i].Value = "DuplicateKey"
		}
	}
	b, err := bson.Marshal(d)
	if err != nil {
		return m
	}
	out := slices.Concat(m[:headerSize+5], b)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out
}

// cuts is a proxy that, once armed, lets some commands of a database's collections through and then cuts the connection.
type cuts struct {
	*proxy

	mu     sync.Mutex
	left   int  // commands that come through; negative: all
	after  bool // the one that does not is done by the server, and only its answer is lost
	seen   []string
	struck bool
}

func newCuts(t *testing.T) *cuts {
	t.Helper()
	c := &cuts{left: -1}
	p, err := newProxy(server, c.next)
	require.NoError(t, err)
	c.proxy = p
	t.Cleanup(p.close)
	return c
}

// arm lets n more commands through and cuts the next one, once.
func (c *cuts) arm(n int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.after, c.seen, c.struck = n, after, nil, false
}

// disarm reports whether a command was cut, and which came until then.
func (c *cuts) disarm() (struck bool, seen []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = -1
	return c.struck, c.seen
}

// looked are the commands that count besides those that write.
var looked = []string{"find", "aggregate", "getMore", "count"}

func (c *cuts) next(cmd command, send func() ([]byte, error)) ([]byte, error) {
	if !slices.Contains(writing, cmd.name) && !slices.Contains(looked, cmd.name) {
		return send()
	}
	c.mu.Lock()
	cut, after := false, c.after
	if c.left >= 0 {
		c.seen = append(c.seen, cmd.name+" "+cmd.coll)
		if cut = c.left == 0; cut {
			c.struck = true
		}
		c.left-- // from then on all come through: below zero
	}
	c.mu.Unlock()
	if !cut {
		return send()
	}
	if after {
		if _, err := send(); err != nil {
			return nil, err
		}
	}
	return nil, errCut
}
