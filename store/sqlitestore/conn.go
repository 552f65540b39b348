package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"omniservice/omni"
)

// conn is one connection with the statements that it has prepared. One goroutine uses it at a time.
type conn struct {
	sql    *sql.Conn
	kept   [stmtCount]*sql.Stmt
	writes int // how many statements changed something
}

// prepared returns a statement, compiling it at its first use on this connection.
func (c *conn) prepared(ctx context.Context, id stmt) (*sql.Stmt, error) {
	if s := c.kept[id]; s != nil {
		return s, nil
	}
	// The driver keeps a statement compiled only if nothing, not even white space, comes after it.
	s, err := c.sql.PrepareContext(ctx, strings.TrimSpace(statements[id]))
	if err != nil {
		return nil, wrap(err)
	}
	c.kept[id] = s
	return s, nil
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(ctx context.Context, id stmt, args ...any) (int64, error) {
	s, err := c.prepared(ctx, id)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, wrap(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, wrap(err)
	}
	if n > 0 {
		c.writes++
	}
	return n, nil
}

// close closes the connection and its statements.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.kept {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, c.sql.Close())...)
}

// scanner reads the columns of a row, as (*sql.Rows).Scan does.
type scanner interface{ Scan(dest ...any) error }

// queryOne returns the only row of a statement, or omni.ErrNotFound.
func queryOne[T any](ctx context.Context, c *conn, id stmt, scan func(scanner) (T, error), args ...any) (T, error) {
	all, err := queryAll(ctx, c, id, scan, args...)
	if err == nil && len(all) == 0 {
		err = omni.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}

// queryAll returns the rows of a statement.
func queryAll[T any](ctx context.Context, c *conn, id stmt, scan func(scanner) (T, error), args ...any) ([]T, error) {
	s, err := c.prepared(ctx, id)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, wrap(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, wrap(err)
	}
	if len(all) > 0 && !reads[id] {
		c.writes++
	}
	return all, nil
}

// ask runs a query that only an operator's command makes, never a request, and returns its rows as texts.
func (c *conn) ask(ctx context.Context, query string) ([][]string, error) {
	rows, err := c.sql.QueryContext(ctx, query)
	if err != nil {
		return nil, wrap(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, wrap(err)
	}
	var all [][]string
	for rows.Next() {
		row := make([]sql.NullString, len(names))
		to := make([]any, len(names))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, wrap(err)
		}
		texts := make([]string, len(names))
		for i := range row {
			texts[i] = row[i].String
		}
		all = append(all, texts)
	}
	return all, wrap(rows.Err())
}

// Scan functions of single columns.
func scanText(r scanner) (s string, err error)  { return s, r.Scan(&s) }
func scanInt(r scanner) (n int64, err error)    { return n, r.Scan(&n) }
func scanBytes(r scanner) (b []byte, err error) { return b, r.Scan(&b) }

// busy reports whether err says that another connection has the lock.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// wrap gives a driver's error the kind that callers act on.
func wrap(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		if errors.Is(err, sql.ErrConnDone) {
			return fmt.Errorf("%w: %w", omni.ErrUnavailable, err)
		}
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", omni.ErrConflict, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return fmt.Errorf("%w: %w", omni.ErrUnavailable, err)
	}
	return err
}
