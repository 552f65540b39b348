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

// migrate brings the schema up to date, all or nothing.
func migrate(ctx context.Context, c *conn) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	if _, err := c.sql.ExecContext(ctx, sqlSchemaTable); err != nil {
		return wrap(err)
	}
	if _, err := c.exec(ctx, sqlBegin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := applyMigrations(ctx, c, all); err != nil {
		_, _ = c.exec(ctx, sqlRollback)
		return err
	}
	_, err = c.exec(ctx, sqlCommit)
	return err
}

func applyMigrations(ctx context.Context, c *conn, all []migration) error {
	have, err := queryOne(ctx, c, sqlSchemaVersion, scanInt)
	if err != nil {
		return err
	}
	if have > int64(len(all)) {
		return fmt.Errorf("its schema is version %d, of a newer program: this one knows up to %d", have, len(all))
	}
	for _, m := range all[have:] {
		if _, err := c.sql.ExecContext(ctx, m.sql); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, wrap(err))
		}
		if _, err := c.exec(ctx, sqlSchemaAdd, m.version, m.name); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}
