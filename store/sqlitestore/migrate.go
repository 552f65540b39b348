package sqlitestore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is a step of the schema. Steps only go forward; one that was released is never changed.
type migration struct {
	version int64
	name    string
	sql     string
}

// migrations reads the steps, which are numbered from 1 without a gap.
func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(names))
	for i, file := range names {
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(i+1) {
			return nil, fmt.Errorf("migration %s is not number %d", file, i+1)
		}
		text, err := migrationFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, path.Base(file), string(text)})
	}
	return all, nil
}

// migrate brings the schema up to date, step by step: each is done as a whole and noted in the same transaction, which
// holds SQLite's write lock from its beginning. So one that was cut off goes on where it stood, and of any number of
// processes each step is done by one.
func migrate(ctx context.Context, c *conn) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	if _, err := c.sql.ExecContext(ctx, sqlSchemaTable); err != nil {
		return wrap(err)
	}
	for {
		done, err := migrateOnce(ctx, c, all)
		if err != nil || done {
			return err
		}
	}
}

// migrateOnce does the next step. done is true if there is none.
func migrateOnce(ctx context.Context, c *conn, all []migration) (done bool, err error) {
	// Mostly there is nothing to do, and no need to wait for a writer.
	if have, err := schemaVersion(ctx, c, all); err != nil || have == len(all) {
		return true, err
	}
	if _, err := c.exec(ctx, sqlBegin); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	err = func() error {
		have, err := schemaVersion(ctx, c, all) // now that nobody else can change it
		if err != nil || have == len(all) {
			done = true
			return err
		}
		m := all[have]
		if _, err := c.sql.ExecContext(ctx, m.sql); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, wrap(err))
		}
		if _, err := c.exec(ctx, sqlSchemaAdd, m.version, m.name); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
		return nil
	}()
	if err == nil {
		_, err = c.exec(ctx, sqlCommit)
	}
	if err != nil {
		_, _ = c.exec(ctx, sqlRollback)
	}
	return done, err
}

// schemaVersion is how many steps have been done.
func schemaVersion(ctx context.Context, c *conn, all []migration) (int, error) {
	have, err := queryOne(ctx, c, sqlSchemaVersion, scanInt)
	if err != nil {
		return 0, err
	}
	if have > int64(len(all)) {
		return 0, fmt.Errorf("its schema is version %d, of a newer program: this one knows up to %d", have, len(all))
	}
	return int(have), nil
}
