package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"omniservice/app"
	"omniservice/omni"
)

// dataFlags name all that a gateway keeps.
type dataFlags struct{ storeFlags }

// print writes v as JSON, or text for people.
func (f *dataFlags) print(w io.Writer, v any, text string, args ...any) error {
	if f.JSON {
		return json.NewEncoder(w).Encode(v)
	}
	_, err := fmt.Fprintf(w, text+"\n", args...)
	return err
}

type exportCmd struct {
	dataFlags

	To   string `default:"-" help:"File to write; one that an earlier run was cut off in is gone on with. - is standard output."`
	Live bool   `help:"Although a gateway is running: what changes meanwhile may be there half. For trying out."`
}

func (c *exportCmd) Run(e *env) (err error) {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	s, err := app.OpenStock(e.ctx, cfg, false)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, s.Close()) }()
	o := app.ExportOptions{Version: version, Now: time.Now(), Live: c.Live}
	out := e.stdout
	var t app.Transfer
	if c.To == "-" {
		out = e.stderr // the stream has the other
		t, err = app.Export(e.ctx, s, e.stdout, o)
	} else {
		t, err = app.ExportFile(e.ctx, s, c.To, o)
	}
	if err != nil {
		return err
	}
	return c.print(out, t, "exported %s%s, sha256 %s\nThe secret key is not in it: the place where it is imported needs the same OMNI_SECRET_KEY.",
		recordsText(t), skippedText(t), t.SHA256)
}

type importCmd struct {
	dataFlags

	From   string `default:"-" help:"File that export wrote. - is standard input."`
	Merge  bool   `help:"Into a store that is not empty: what has the same key is replaced."`
	AnyKey bool   `help:"Although the secret key is not that of the source: credentials of carriers have to be given anew, and everybody has to log in again."`
}

func (c *importCmd) Run(e *env) (err error) {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	s, err := app.OpenStock(e.ctx, cfg, true)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, s.Close()) }()
	o := app.ImportOptions{Now: time.Now(), Merge: c.Merge, AnyKey: c.AnyKey}
	var t app.Transfer
	if c.From == "-" {
		t, err = app.Import(e.ctx, s, e.stdin, o)
	} else {
		t, err = app.ImportFile(e.ctx, s, c.From, o)
	}
	if err != nil {
		return err
	}
	return c.print(e.stdout, t, "imported %s%s, sha256 %s", recordsText(t), skippedText(t), t.SHA256)
}

func recordsText(t app.Transfer) string {
	n := int64(0)
	for _, k := range t.Records {
		n += k
	}
	return fmt.Sprintf("%d records", n)
}

func skippedText(t app.Transfer) string {
	if t.Skipped == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of them by an earlier run)", t.Skipped)
}

func firstError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

type backupCmd struct {
	dataFlags

	To    string `xor:"what" required:"" placeholder:"PATH" help:"New folder to write, or with .tar.gz or .tgz at the end of its name a new file. The gateway may be running."`
	Check string `xor:"what" required:"" placeholder:"PATH" help:"Only look through a backup: whether all is there and as it was made."`
}

func (c *backupCmd) Run(e *env) error {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	if c.Check != "" {
		m, err := app.CheckBackup(e.ctx, c.Check)
		if err != nil {
			return err
		}
		return c.print(e.stdout, m, "%s is whole: %s", c.Check, manifestText(m))
	}
	m, err := app.Backup(e.ctx, cfg, c.To, version, time.Now())
	if err != nil {
		return err
	}
	return c.print(e.stdout, m, "%s: %s\nThe secret key is not in it: keep a copy of it elsewhere.", c.To, manifestText(m))
}

func manifestText(m app.Manifest) string {
	return fmt.Sprintf("%d files, %d bytes, schema %d, made %s by omniservice %s",
		len(m.Files), m.Size(), m.Schema, m.CreatedAt.Time().Format(time.RFC3339), m.Program)
}

type restoreCmd struct {
	dataFlags

	From  string `required:"" placeholder:"PATH" help:"Backup to take: a folder or a file."`
	Force bool   `help:"Replace what the data directory holds: it is moved to a folder in there."`
}

func (c *restoreCmd) Run(e *env) error {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	r, err := app.Restore(e.ctx, cfg, c.From, app.RestoreOptions{Now: time.Now(), Force: c.Force})
	if err != nil {
		return err
	}
	text := "restored " + manifestText(r.Manifest)
	if r.Aside != "" {
		text += "\nwhat was there before is in " + r.Aside
	}
	if r.NoKey {
		text += "\nBefore the first start, set OMNI_SECRET_KEY to the key of then, or put its file secret.key into the data directory."
	}
	return c.print(e.stdout, r, "%s", text)
}

type migrateCmd struct {
	dataFlags
}

func (c *migrateCmd) Run(e *env) error {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	m, err := app.Migrate(e.ctx, cfg, time.Now())
	if err != nil {
		return err
	}
	text := fmt.Sprintf("schema %d, nothing to do", m.After)
	if m.Before != m.After {
		text = fmt.Sprintf("schema %d -> %d", m.Before, m.After)
	}
	for _, d := range m.Differences {
		text += "\nnot as declared: " + d
	}
	if err := c.print(e.stdout, m, "%s", text); err != nil {
		return err
	}
	if len(m.Differences) > 0 {
		return fmt.Errorf("%d tables or indexes are not as declared: %w", len(m.Differences), omni.ErrConflict)
	}
	return nil
}

type doctorCmd struct {
	app.Config

	JSON bool `name:"json" help:"Print JSON, for programs."`
}

func (c *doctorCmd) Run(e *env) error {
	if err := c.ReadSecrets(e.getenv); err != nil {
		return err
	}
	r := app.Doctor(e.ctx, c.Config, version, time.Now())
	if c.JSON {
		if err := json.NewEncoder(e.stdout).Encode(r); err != nil {
			return err
		}
	} else if err := printReport(e.stdout, r); err != nil {
		return err
	}
	if r.Healthy {
		return nil
	}
	n := 0
	for _, f := range r.Findings {
		if f.State == app.StateProblem {
			n++
		}
	}
	return fmt.Errorf("%d problems", n)
}

func printReport(w io.Writer, r app.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		detail := strings.ReplaceAll(f.Detail, "\n", " ")
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\n", f.State, f.Check, detail); err != nil {
			return err
		}
		if f.Advice != "" {
			if _, err := fmt.Fprintf(t, "\t\t-> %s\n", f.Advice); err != nil {
				return err
			}
		}
	}
	return t.Flush()
}
