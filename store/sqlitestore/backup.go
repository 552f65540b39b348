package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"modernc.org/sqlite"

	"omniservice/omni"
)

// pagesAtOnce is how much of a file Backup copies between two looks at its context.
const pagesAtOnce = 2000

// Backup copies the store at from, which may be in use, into the new file to: as it was at one moment, while others go on
// writing. It returns when the copy is on disk.
func Backup(ctx context.Context, from, to string) (err error) {
	fail := func(err error) error { return fmt.Errorf("back up %s: %w", from, err) }
	if _, err := os.Stat(from); err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return fail(err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	use, err := inUse(from)
	if err != nil {
		return fail(err)
	}
	var s Store
	defer func() {
		err = errors.Join(err, s.closeConns(), use.Close())
	}()
	c, err := s.connect(ctx, from, []string{"busy_timeout(5000)", "query_only(1)"})
	if err != nil {
		return fail(err)
	}
	// The copy is of what this transaction sees. Without one, every write meanwhile would make it begin anew.
	if _, err := c.exec(ctx, sqlBeginRead); err != nil {
		return fail(err)
	}
	defer func() { _, _ = c.exec(context.WithoutCancel(ctx), sqlRollback) }()
	if _, err := queryOne(ctx, c, sqlSchemaVersion, scanInt); err != nil {
		return fail(err)
	}
	if err := c.sql.Raw(func(driver any) error { return copyPages(ctx, driver, to) }); err != nil {
		return fail(err)
	}
	if err := newHistory(ctx, to); err != nil {
		return fail(err)
	}
	return syncFile(to)
}

// newHistory says of a copy that the numbers of its changes go on otherwise than those of the original.
func newHistory(ctx context.Context, path string) (err error) {
	var s Store
	defer func() { err = errors.Join(err, s.closeConns()) }()
	c, err := s.connect(ctx, path, nil)
	if err != nil {
		return err
	}
	version, err := queryOne(ctx, c, sqlSchemaVersion, scanInt)
	if err != nil || version < changesSince {
		return err
	}
	_, err = c.exec(ctx, sqlChangeHistory)
	return err
}

func copyPages(ctx context.Context, driver any, to string) error {
	source, ok := driver.(interface {
		NewBackup(to string) (*sqlite.Backup, error)
	})
	if !ok {
		return errors.New("the driver makes no backups")
	}
	b, err := source.NewBackup(to)
	if err != nil {
		return wrap(err)
	}
	for more := true; more && err == nil; {
		if err = ctx.Err(); err == nil {
			more, err = b.Step(pagesAtOnce)
		}
	}
	return errors.Join(wrap(err), wrap(b.Finish()))
}

func syncFile(path string) error {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Copy is what Check finds in a copy of a store.
type Copy struct {
	Schema int              // the newest migration that was applied
	Rows   map[string]int64 // how many rows each table has
}

// Check looks through a file that Backup made, and that nobody uses: whether it is whole, a store of ours, and of no newer
// program. The file is not changed. What is wrong with it is omni.ErrInvalid.
func Check(ctx context.Context, path string) (Copy, error) {
	info := Copy{Rows: map[string]int64{}}
	fail := func(err error) (Copy, error) {
		return Copy{}, fmt.Errorf("check %s: %w: %w", path, omni.ErrInvalid, err)
	}
	if _, err := os.Stat(path); err != nil {
		return fail(err)
	}
	var s Store
	defer func() { _ = s.closeConns() }()
	// Immutable: no files are made beside it, whatever journal mode it says it has.
	c, err := s.connectAs(ctx, path, map[string][]string{"mode": {"ro"}, "immutable": {"1"}, "_pragma": {"query_only(1)"}})
	if err != nil {
		return fail(err)
	}
	found, err := c.ask(ctx, "PRAGMA integrity_check(3)")
	if err != nil {
		return fail(fmt.Errorf("it is no SQLite file, or damaged: %w", err))
	}
	if found[0][0] != "ok" {
		return fail(fmt.Errorf("it is damaged: %s", strings.ReplaceAll(found[0][0], "\n", " ")))
	}
	tables, err := c.ask(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE 'CREATE VIRTUAL%'")
	if err != nil {
		return fail(err)
	}
	for _, t := range tables {
		n, err := c.ask(ctx, `SELECT count(*) FROM "`+strings.ReplaceAll(t[0], `"`, `""`)+`"`)
		if err != nil {
			return fail(err)
		}
		if info.Rows[t[0]], err = strconv.ParseInt(n[0][0], 10, 64); err != nil {
			return fail(err)
		}
	}
	if _, ok := info.Rows["schema_migrations"]; !ok {
		return fail(errors.New("it is not the store of an omniservice"))
	}
	all, err := migrations()
	if err != nil {
		return fail(err)
	}
	if info.Schema, err = schemaVersion(ctx, c, all); err != nil {
		return fail(err)
	}
	return info, nil
}

// MarkerOf is Marker of a file that Backup made.
func MarkerOf(ctx context.Context, path, name string) ([]byte, error) {
	var s Store
	defer func() { _ = s.closeConns() }()
	c, err := s.connectAs(ctx, path, map[string][]string{"mode": {"ro"}, "immutable": {"1"}, "_pragma": {"query_only(1)"}})
	if err != nil {
		return nil, err
	}
	b, err := queryOne(ctx, c, sqlMarker, scanBytes, name)
	if errors.Is(err, omni.ErrNotFound) {
		return nil, nil
	}
	return b, err
}
