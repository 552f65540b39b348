package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
)

// omniservice runs a command of the real binary and returns its exit code and what it wrote.
func omniservice(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// done runs a command that has to succeed.
func done(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := omniservice(t, args...)
	require.Zero(t, code, "%v\n%s%s", args, stdout, stderr)
	return stdout
}

// refused runs a command that has to fail, saying why.
func refused(t *testing.T, says string, args ...string) {
	t.Helper()
	code, stdout, stderr := omniservice(t, args...)
	require.Equal(t, 1, code, "%v\n%s%s", args, stdout, stderr)
	require.Contains(t, stderr, says)
}

// copyKey takes the secret key to another data directory, as an operator does.
func copyKey(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, "secret.key"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(to, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(to, "secret.key"), b, 0o600))
}

// stored are the texts of all messages, of which each conversation has all up to its last.
func stored(t *testing.T, d *Desk) map[string]int {
	t.Helper()
	texts := map[string]int{}
	for _, it := range d.Alpha.Interactions(t, omni.InteractionOpen) {
		for n, m := range d.Alpha.Messages(t, it.ID) {
			require.Equal(t, int64(n+1), m.Seq, "sequences have no gaps")
			texts[m.Payload.Text]++
		}
	}
	return texts
}

// A backup is taken while webhooks come in; another machine goes on from it.
func TestBackupWhileItRuns(t *testing.T) {
	const contacts = 20
	d := NewDesk(t, StartProcess(t, Options{}))
	var (
		posts sync.WaitGroup
		stop  = make(chan struct{})
		mu    sync.Mutex
		taken []string
		n     atomic.Int64
	)
	for range 4 {
		posts.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := n.Add(1)
				text := fmt.Sprintf("message %d", i)
				if status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(int(i)%contacts), Number, text)); err == nil && status == http.StatusOK {
					mu.Lock()
					taken = append(taken, text)
					mu.Unlock()
				}
			}
		})
	}
	Eventually(t, "messages come in", func() bool { return n.Load() > 200 })
	mu.Lock()
	before := append([]string{}, taken...)
	mu.Unlock()
	backup := filepath.Join(t.TempDir(), "backup.tar.gz")
	began := time.Now()
	done(t, "backup", "--data-dir", d.DataDir, "--to", backup)
	took := time.Since(began)
	refused(t, "in use", "restore", "--data-dir", d.DataDir, "--from", backup, "--force")
	close(stop)
	posts.Wait()
	done(t, "backup", "--check", backup)

	restored := filepath.Join(t.TempDir(), "restored")
	copyKey(t, d.DataDir, restored)
	done(t, "restore", "--data-dir", restored, "--from", backup)
	refused(t, "holds data already", "restore", "--data-dir", restored, "--from", backup)
	d.Kill(t)
	d.DataDir = restored
	d.Launch(t)
	// What was acknowledged is in the backup, as a message or as a webhook that is still to be worked on.
	var have map[string]int
	Eventually(t, "all that was acknowledged before the backup is there", func() bool {
		have = stored(t, d)
		for _, text := range before {
			if have[text] != 1 {
				return false
			}
		}
		return true
	})
	t.Logf("a backup under load took %v: %d messages in it, %d acknowledged before it, 0 lost", took.Round(time.Millisecond), len(have), len(before))
	status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(0), Number, "after"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	Eventually(t, "it goes on", func() bool { return stored(t, d)["after"] == 1 })
}

// lines are what an export holds, without its header.
func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	z, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "\n")
	require.True(t, ok)
	return strings.Split(rest, "\n")
}

// All data move to another store, by an import that is killed and goes on.
func TestExportAndImport(t *testing.T) {
	const messages = 300
	d := NewDesk(t, StartProcess(t, Options{}))
	each(messages, 8, func(i int) {
		status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(i%7), Number, fmt.Sprintf("message %d", i)))
		if err != nil || status != http.StatusOK {
			t.Errorf("message %d: %d %v", i, status, err)
		}
	})
	Eventually(t, "all are stored", func() bool { return len(stored(t, d)) == messages })
	dir := t.TempDir()
	export := filepath.Join(dir, "export.gz")
	refused(t, "is running", "export", "--data-dir", d.DataDir, "--to", export)
	<-d.Terminate(t)
	done(t, "export", "--data-dir", d.DataDir, "--to", export)
	refused(t, "complete export", "export", "--data-dir", d.DataDir, "--to", export)

	// Killed half way.
	want, err := os.ReadFile(export)
	require.NoError(t, err)
	half := filepath.Join(dir, "half.gz")
	require.NoError(t, os.WriteFile(half, want[:len(want)/2], 0o600))
	done(t, "export", "--data-dir", d.DataDir, "--to", half)
	require.Equal(t, lines(t, export), lines(t, half))

	to := filepath.Join(dir, "to")
	refused(t, "secret key", "import", "--data-dir", to, "--from", export)
	copyKey(t, d.DataDir, to)
	cmd := exec.CommandContext(t.Context(), Binary(t), "import", "--data-dir", to)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = in.Write(want[:len(want)-100])
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	done(t, "import", "--data-dir", to, "--from", export)
	again := filepath.Join(dir, "again.gz")
	done(t, "export", "--data-dir", to, "--to", again)
	require.Equal(t, lines(t, export), lines(t, again))

	bad := bytes.Clone(want)
	bad[len(bad)/2] ^= 1
	damaged := filepath.Join(dir, "damaged.gz")
	require.NoError(t, os.WriteFile(damaged, bad, 0o600))
	other := filepath.Join(dir, "other")
	copyKey(t, d.DataDir, other)
	refused(t, "damaged", "import", "--data-dir", other, "--from", damaged)

	d.DataDir = to
	d.Launch(t)
	require.Len(t, stored(t, d), messages)
	status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(0), Number, "after"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "the account's secret opens with the key that was moved")
	Eventually(t, "it goes on", func() bool { return stored(t, d)["after"] == 1 })
}

// doctor works beside a running gateway, and its exit code tells.
func TestDoctor(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, StartProcess(t, Options{}))
	args := []string{"doctor", "--data-dir", d.DataDir, "--public-url", d.PublicURL}
	text := done(t, args...)
	require.Contains(t, text, "ok ")
	require.Contains(t, text, "1 gateways are running")
	var report struct {
		Healthy  bool
		Findings []struct{ Check, State, Advice string }
	}
	require.NoError(t, json.Unmarshal([]byte(done(t, append(args, "--json")...)), &report))
	require.True(t, report.Healthy)
	require.NotEmpty(t, report.Findings)

	require.NoError(t, os.Chmod(d.DataDir, 0o755))
	code, stdout, stderr := omniservice(t, args...)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "chmod go-rwx")
	require.Contains(t, stderr, "1 problems")
	require.NoError(t, os.Chmod(d.DataDir, 0o700))

	fresh := filepath.Join(t.TempDir(), "fresh")
	require.Contains(t, done(t, "migrate", "--data-dir", fresh), "schema 0 -> ")
	require.Contains(t, done(t, "migrate", "--data-dir", fresh), "nothing to do")
	require.NoFileExists(t, filepath.Join(fresh, "secret.key"))
}
