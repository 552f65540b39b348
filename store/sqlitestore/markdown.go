package sqlitestore

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// SchemaMarkdown is the tables of tables and indexes for the documentation, made from what the migrations make.
func SchemaMarkdown(ctx context.Context) (string, error) {
	var s Store
	defer func() { _ = s.closeConns() }()
	c, err := s.connect(ctx, Memory, nil)
	if err != nil {
		return "", err
	}
	if err := migrate(ctx, c); err != nil {
		return "", err
	}
	tables, err := c.ask(ctx, `SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return "", err
	}
	var about, indexes strings.Builder
	about.WriteString("| table | columns |\n|---|---|\n")
	indexes.WriteString("| table | index | columns | unique | only where |\n|---|---|---|---|---|\n")
	for _, t := range tables {
		columns, err := c.ask(ctx, "SELECT name FROM pragma_table_info('"+t[0]+"') ORDER BY cid")
		if err != nil {
			return "", err
		}
		kind := ""
		if t[1] == "virtual" {
			kind = " (full-text index)"
		}
		fmt.Fprintf(&about, "| `%s`%s | %s |\n", t[0], kind, namesText(columns))
		if err := indexRows(ctx, c, &indexes, t[0]); err != nil {
			return "", err
		}
	}
	return about.String() + "\n" + indexes.String(), nil
}

// indexRows writes a row for each index of a table, its keys included.
func indexRows(ctx context.Context, c *conn, b *strings.Builder, table string) error {
	all, err := c.ask(ctx, `SELECT l.name, l."unique", l.origin, coalesce(m.sql, '') FROM pragma_index_list('`+table+`') l
		LEFT JOIN sqlite_master m ON m.name = l.name`)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	for _, i := range all {
		columns, err := c.ask(ctx, "SELECT name FROM pragma_index_info('"+i[0]+"') ORDER BY seqno")
		if err != nil {
			return err
		}
		name, unique := "`"+i[0]+"`", ""
		switch i[2] {
		case "pk":
			name = "primary key"
		case "u":
			name = "unique column"
		}
		if i[1] == "1" {
			unique = "yes"
		}
		_, where, _ := strings.Cut(strings.Join(strings.Fields(i[3]), " "), " WHERE ")
		if where != "" {
			where = "`" + where + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", table, name, namesText(columns), unique, where)
	}
	return nil
}

func namesText(rows [][]string) string {
	names := make([]string, 0, len(rows))
	for _, r := range rows {
		names = append(names, r[0])
	}
	return strings.Join(names, ", ")
}
