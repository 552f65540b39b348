package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"omniservice/internal/folder"
	"omniservice/internal/httpout"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
	"omniservice/store/spool"
	"omniservice/store/sqlitestore"
)

// State is how a finding is to be taken.
type State string

// The states.
const (
	StateOK      State = "ok"
	StateWarning State = "warning" // works, but should be looked at
	StateProblem State = "problem" // does not work, or loses something
)

// Finding is what Doctor says of one thing.
type Finding struct {
	Check  string `json:"check"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // what to do; "" if all is well
}

// Report is what Doctor found.
type Report struct {
	Version  string            `json:"version"`
	At       omni.Millis       `json:"at"`
	Healthy  bool              `json:"healthy"` // no problem was found
	Findings []Finding         `json:"findings"`
	Store    *store.Inspection `json:"store,omitempty"`
}

// From when on Doctor has something to say.
const (
	lowDisk     = 1 << 30   // bytes
	noDisk      = 200 << 20 // bytes
	longLog     = 512 << 20 // bytes of write-ahead log
	manyExpired = 10_000
	inboxWaits  = 2 * time.Minute
	outboxWaits = time.Hour
	mediaWaits  = 24 * time.Hour
	searchLags  = 10_000 // messages
	othersMay   = 0o077  // bits of a mode that only the owner should have
)

// doctor gathers findings.
type doctor struct {
	c   Config
	now time.Time
	r   Report
}

// Doctor looks at all that a gateway with this configuration needs. It changes nothing, and works beside a running one.
func Doctor(ctx context.Context, c Config, version string, now time.Time) Report {
	d := &doctor{c: c, now: now, r: Report{Version: version, At: omni.MillisOf(now), Healthy: true}}
	d.configuration()
	d.publicURL()
	d.dataDir()
	d.disk()
	d.store(ctx)
	d.spool()
	d.files()
	return d.r
}

func (d *doctor) say(check string, s State, detail, advice string) {
	if s == StateProblem {
		d.r.Healthy = false
	}
	d.r.Findings = append(d.r.Findings, Finding{check, s, detail, advice})
}

func (d *doctor) ok(check, detail string)           { d.say(check, StateOK, detail, "") }
func (d *doctor) warn(check, detail, advice string) { d.say(check, StateWarning, detail, advice) }

func (d *doctor) problem(check, detail, advice string) { d.say(check, StateProblem, detail, advice) }

func (d *doctor) configuration() {
	if err := d.c.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			d.problem("configuration", line, "set it as the text says; `omniservice serve --help` explains each setting")
		}
		return
	}
	d.ok("configuration", "every setting can be read")
}

func (d *doctor) publicURL() {
	u, err := url.Parse(d.c.PublicURL)
	switch {
	case err != nil || d.c.PublicURL == "":
		d.warn("public URL", "it is not set", "set OMNI_PUBLIC_URL to the address under which the world reaches this gateway, such as https://chat.example.com")
	case isLoopback(u.Hostname()):
		d.warn("public URL", d.c.PublicURL+" is this machine alone: carriers and visitors do not reach it",
			"set OMNI_PUBLIC_URL to the address under which the world reaches this gateway, such as https://chat.example.com")
	default:
		d.ok("public URL", d.c.PublicURL)
	}
}

// private reports whether only the owner can do anything with a file or folder, and says so if not.
func (d *doctor) private(check, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		d.problem(check, err.Error(), "make it readable for the user that the gateway runs as")
		return false
	}
	if open := info.Mode().Perm() & othersMay; open != 0 {
		d.problem(check, fmt.Sprintf("%s can be read or written by others: mode %04o", path, info.Mode().Perm()),
			fmt.Sprintf("chmod go-rwx %s", path))
		return false
	}
	return true
}

func (d *doctor) dataDir() {
	const check = "data directory"
	info, err := os.Stat(d.c.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.problem(check, d.c.DataDir+" is not there", "name the right one by --data-dir or OMNI_DATA_DIR; for a new one run `omniservice migrate`")
		return
	case err != nil:
		d.problem(check, err.Error(), "make it readable for the user that the gateway runs as")
		return
	case !info.IsDir():
		d.problem(check, d.c.DataDir+" is no folder", "name a folder by --data-dir or OMNI_DATA_DIR")
		return
	}
	if !d.private(check, d.c.DataDir) {
		return
	}
	if err := canWrite(d.c.DataDir); err != nil {
		d.problem(check, fmt.Sprintf("%s cannot be written: %v", d.c.DataDir, err), "give it to the user that the gateway runs as")
		return
	}
	d.ok(check, d.c.DataDir)
}

func (d *doctor) disk() {
	const check = "free disk"
	free, err := freeBytes(d.c.DataDir)
	switch {
	case err != nil:
		return // there is no such folder, which has been said, or no way to know
	case free < noDisk:
		d.problem(check, bytesText(free)+" where the data directory is", "make room: without it no webhook can be kept")
	case free < lowDisk:
		d.warn(check, bytesText(free)+" where the data directory is", "make room, or move the data directory to a larger disk")
	default:
		d.ok(check, bytesText(free))
	}
}

func (d *doctor) store(ctx context.Context) {
	st, err := lookAt(ctx, d.c)
	if err != nil {
		advice := "name the right data directory by --data-dir or OMNI_DATA_DIR; for a new one run `omniservice migrate`"
		switch {
		case errors.Is(err, omni.ErrConflict):
			advice = "wait until the restore that is under way has ended"
		case !errors.Is(err, fs.ErrNotExist):
			advice = "see whether the store can be reached and read; restore a backup if it is damaged"
		}
		d.problem("store", err.Error(), advice)
		return
	}
	defer func() { _ = st.Close() }()
	r, err := st.Inspect(ctx, omni.MillisOf(d.now))
	if err != nil {
		d.problem("store", err.Error(), "use the newest omniservice that has worked on it; restore a backup if it is damaged")
		return
	}
	d.r.Store = &r
	d.schema(r)
	if r.Schema < r.Newest {
		return // the rest may not be there yet
	}
	d.queues(r)
	d.leases(r)
	d.markers(ctx, st)
	d.accounts(ctx, st)
}

func (d *doctor) schema(r store.Inspection) {
	if d.c.MongoURI.IsZero() {
		if d.private("store", filepath.Join(d.c.DataDir, storeName)) {
			d.ok("store", fmt.Sprintf("%s, %s, %s", r.Engine, r.Place, bytesText(r.Bytes)))
		}
		if r.Journal != "wal" {
			d.problem("journal", "the journal mode is "+r.Journal+", not wal: readers and the writer wait for each other",
				"stop whatever else uses the file, and start the gateway, which sets it")
		}
	} else {
		d.ok("store", fmt.Sprintf("%s, %s, %s", r.Engine, r.Place, bytesText(r.Bytes)))
	}
	if r.LogBytes > longLog {
		d.warn("write-ahead log", bytesText(r.LogBytes)+" have not been merged into the file",
			"see whether a backup or another long reader is under way; a restart of the gateway merges it")
	}
	if r.Schema < r.Newest {
		d.problem("schema", fmt.Sprintf("version %d, this program needs %d", r.Schema, r.Newest), "run `omniservice migrate`, or start the gateway")
		return
	}
	d.ok("schema", fmt.Sprintf("version %d", r.Schema))
	if len(r.Differences) == 0 {
		d.ok("indexes", "as declared")
		return
	}
	for _, text := range r.Differences {
		d.problem("indexes", text, "run `omniservice migrate`; if it stays, move the data to a new store by export and import")
	}
}

func (d *doctor) queues(r store.Inspection) {
	for _, q := range r.Queues {
		detail := fmt.Sprintf("%d wait", q.Depth)
		if q.Failed > 0 {
			detail += fmt.Sprintf(", %d of them after a failure", q.Failed)
		}
		age := d.now.Sub(q.Oldest.Time())
		if q.Oldest != 0 {
			detail += fmt.Sprintf(", the oldest for %s", age.Round(time.Second))
		}
		switch {
		case q.Depth == 0:
			d.ok(q.Name, "empty")
		case q.Name == "inbox" && age > inboxWaits:
			d.problem(q.Name, detail, "webhooks are not worked on: start a gateway, or look for the reason in its log")
		case q.Name == "outbox" && age > outboxWaits:
			d.warn(q.Name, detail, "messages do not get out: look at the carrier accounts and the log")
		case q.Name == "media" && age > mediaWaits:
			d.warn(q.Name, detail, "files are not fetched: look at the log")
		case q.Name == "deliveries" && age > outboxWaits:
			d.warn(q.Name, detail, "receivers of webhooks do not answer: look at their addresses and the log")
		case q.Name == "search" && q.Depth > searchLags:
			d.warn(q.Name, detail, "the newest messages are not found yet: a running gateway goes on with them, see whether one runs")
		case q.Name == "set_aside":
			d.warn(q.Name, detail, "webhooks that could not be used: look at them in the console, mend the reason, and play them again")
		default:
			d.ok(q.Name, detail)
		}
	}
	if r.Expired > manyExpired {
		d.warn("ended records", fmt.Sprintf("%d wait to be removed", r.Expired), "a running gateway removes them: see whether one runs")
	} else {
		d.ok("ended records", fmt.Sprintf("%d wait to be removed", r.Expired))
	}
}

func (d *doctor) leases(r store.Inspection) {
	owners := map[string]bool{}
	dead := 0
	for _, l := range r.Leases {
		if l.ExpiresAt > omni.MillisOf(d.now) {
			owners[l.Owner] = true
		} else {
			dead++
		}
	}
	switch {
	case dead > 0 && len(owners) > 0:
		d.warn("leases", fmt.Sprintf("%d have run out although %d gateways run", dead, len(owners)),
			"if it stays so for a minute, restart the gateways")
	case dead > 0:
		d.warn("leases", fmt.Sprintf("%d have run out: the last gateway did not end by itself", dead), "start a gateway: it takes the work over")
	case len(owners) > 0:
		d.ok("leases", fmt.Sprintf("%d gateways are running", len(owners)))
	default:
		d.ok("leases", "no gateway is running")
	}
}

func (d *doctor) markers(ctx context.Context, st store.Store) {
	const check = "secret key"
	if mark, err := st.Marker(ctx, markerImport); err != nil {
		d.problem("import", err.Error(), "see whether the store can be read")
	} else if mark != nil {
		d.problem("import", "an import is not finished", "run the same `omniservice import` again: it goes on where it stood")
	}
	keys, err := d.c.existingKeyring()
	if err != nil {
		d.problem(check, err.Error(), "set OMNI_SECRET_KEY or OMNI_SECRET_KEY_FILE as the text says")
		return
	}
	stored, err := storedCheck(ctx, st)
	switch {
	case err != nil:
		d.problem(check, err.Error(), "see whether the store can be read")
		return
	case keys == nil && stored == nil:
		d.warn(check, "there is none yet", "the first start makes one; keep a copy of it in a safe place")
		return
	case keys == nil:
		d.problem(check, "there is none, but the data were made with one", "set OMNI_SECRET_KEY to it, or put its file "+keyName+" into the data directory, before the next start")
		return
	case stored != nil && !fits(keys, stored):
		d.problem(check, "it is another one than the data were made with", "set OMNI_SECRET_KEY to the key of then, or put its file "+keyName+" into the data directory")
		return
	}
	if d.c.SecretKey.IsZero() && !d.private(check, filepath.Join(d.c.DataDir, keyName)) {
		return
	}
	d.ok(check, "key "+keys.CurrentID()+" fits")
}

// accountsTime is how long Doctor tries the carrier accounts. What is left then is not tried.
const accountsTime = 2 * time.Minute

// accounts tries every carrier account: its settings, whether its webhooks' address leads to this gateway, and what its carrier
// answers.
func (d *doctor) accounts(ctx context.Context, st store.Store) {
	const check = "carrier accounts"
	keys, err := d.c.existingKeyring()
	if err != nil || keys == nil {
		return // it has been said, or there is nothing that a key was needed for
	}
	a := &App{o: Options{Now: time.Now}}
	reg, err := a.providers()
	if err != nil {
		d.problem(check, err.Error(), "this is a fault of the program: report it")
		return
	}
	defer a.test.Close()
	bases, err := d.c.carrierAPIBase()
	if err != nil {
		return // it has been said
	}
	p, err := pipeline.New(st, reg, keys, publisher{}, pipeline.Options{ //nolint:contextcheck // what it makes is not run
		PublicURL: d.c.PublicURL, APIBase: bases, HTTP: httpout.New(httpout.Options{AllowLoopback: len(bases) > 0}),
	})
	if err != nil {
		d.problem(check, err.Error(), "this is a fault of the program: report it")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, accountsTime)
	defer cancel()
	found := 0
	err = p.EachAccount(ctx, func(rec omni.CarrierAccount) error {
		found++
		return d.account(ctx, p, rec)
	})
	switch {
	case err != nil:
		d.warn(check, err.Error(), "see whether the store can be read, and try it again")
	case found == 0:
		d.ok(check, "none")
	}
}

// account says how one account works, by what the gateway has seen of it, and by trying it now.
func (d *doctor) account(ctx context.Context, p *pipeline.Pipeline, rec omni.CarrierAccount) error {
	name := fmt.Sprintf("account %s (%s)", omni.CleanName(rec.Name), rec.Carrier)
	if rec.Disabled {
		d.ok(name, "disabled")
		return nil
	}
	h, err := p.Health(ctx, rec.Tenant, rec.ID)
	if err != nil {
		return err
	}
	const advice = "then try it again, here or by POST /api/v1/carrier-accounts/{id}/check"
	switch is := h.Of("", omni.MillisOf(d.now)); is.State {
	case pipeline.HealthDown:
		d.problem(name, is.Reason, advice)
	case pipeline.HealthDegraded:
		d.warn(name, is.Reason, advice)
	default:
		d.ok(name, "last webhook "+d.ago(h.LastWebhookAt)+", last message sent "+d.ago(h.LastSentAt))
	}
	if strings.HasSuffix(rec.Name, playedHere) {
		d.ok(name+": settings", "made up by the demo, which plays the carrier; not tried at the real one")
		return nil
	}
	all, err := p.Check(ctx, rec.Tenant, rec.ID)
	if err != nil {
		return err
	}
	for _, c := range all {
		switch what := name + ": " + c.Name; {
		case c.OK:
			d.ok(what, c.Detail)
		case c.Name == pipeline.CheckWebhook: // perhaps no gateway runs
			d.warn(what, c.Detail, "start the gateway if none runs, "+advice)
		default:
			d.problem(what, c.Detail, advice)
		}
	}
	return nil
}

// ago is how long a moment has passed, in words.
func (d *doctor) ago(at omni.Millis) string {
	if at == 0 {
		return "never"
	}
	return max(0, d.now.Sub(at.Time())).Round(time.Second).String() + " ago"
}

func (d *doctor) spool() {
	const check = "spool"
	dir := filepath.Join(d.c.DataDir, spoolName)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return // the first start makes it
	}
	if !d.private(check, dir) {
		return
	}
	s, err := spool.Look(dir)
	switch {
	case err != nil:
		d.problem(check, err.Error(), "make it readable for the user that the gateway runs as")
	case s.SetAside > 0:
		d.warn(check, fmt.Sprintf("%s of webhooks wait; %d damaged stretches were set aside", bytesText(s.Bytes), s.SetAside),
			"look at the disk: what was written to "+dir+" could not be read again")
	case s.Bytes > 0:
		d.warn(check, bytesText(s.Bytes)+" of webhooks wait", "a running gateway takes them to the store as soon as it is back: see whether both run")
	default:
		d.ok(check, "empty")
	}
}

func (d *doctor) files() {
	const check = "files"
	dir := filepath.Join(d.c.DataDir, mediaName)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return // the first start makes it
	}
	if !d.private(check, dir) {
		return
	}
	if err := canWrite(dir); err != nil {
		d.problem(check, fmt.Sprintf("%s cannot be written: %v", dir, err), "give it to the user that the gateway runs as")
		return
	}
	f, err := folder.Look(dir)
	if err != nil {
		d.problem(check, err.Error(), "make it readable for the user that the gateway runs as")
		return
	}
	defer func() { _ = f.Close() }()
	var n, size int64
	for file, err := range f.All(folder.File{}) {
		if err != nil {
			d.problem(check, err.Error(), "make it readable for the user that the gateway runs as")
			return
		}
		n++
		size += file.Size
	}
	d.ok(check, fmt.Sprintf("%d, %s", n, bytesText(size)))
}

func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, names := float64(n), "KMGTPE"
	i := -1
	for v >= unit && i < len(names)-1 {
		v /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, names[i])
}

// lookAt opens the store of a configuration without making or changing anything.
func lookAt(ctx context.Context, c Config) (store.Store, error) {
	if !c.MongoURI.IsZero() {
		return OpenStore(ctx, c)
	}
	path := filepath.Join(c.DataDir, storeName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no store in %s: %w", c.DataDir, err)
	}
	return sqlitestore.New(ctx, path, sqlitestore.Options{AsItIs: true})
}

// Migrated is what Migrate has done.
type Migrated struct {
	Before      int      `json:"before"` // the newest migration that had been applied
	After       int      `json:"after"`
	Differences []string `json:"differences,omitempty"` // where tables and indexes are not as declared even so
}

// Migrate brings the store of a configuration up to date, or makes it. A gateway does so at its start too.
func Migrate(ctx context.Context, c Config, now time.Time) (m Migrated, err error) {
	inspect := func(open func(context.Context, Config) (store.Store, error)) (store.Inspection, error) {
		st, err := open(ctx, c)
		if err != nil {
			return store.Inspection{}, err
		}
		r, err := st.Inspect(ctx, omni.MillisOf(now))
		return r, errors.Join(err, st.Close())
	}
	before, err := inspect(lookAt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("migrate: %w", err)
	}
	after, err := inspect(OpenStore)
	if err != nil {
		return m, fmt.Errorf("migrate: %w", err)
	}
	return Migrated{Before: before.Schema, After: after.Schema, Differences: after.Differences}, nil
}
