// Command omniservice is the gateway, and the tools that go with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"omniservice/omni"
)

// version is set by the build.
var version = "dev"

type cli struct {
	Serve       serveCmd       `cmd:"" default:"withargs" help:"Run the gateway (default)."`
	User        userCmd        `cmd:"" help:"Users: create."`
	Apikey      apikeyCmd      `cmd:"" help:"API keys: create."`
	Export      exportCmd      `cmd:"" help:"Write all data, files included, into one stream, to move them to another store."`
	Import      importCmd      `cmd:"" help:"Read what export wrote into an empty store."`
	Backup      backupCmd      `cmd:"" help:"Copy all data of an embedded store, while the gateway runs or not; or check such a copy."`
	Restore     restoreCmd     `cmd:"" help:"Take the data from a backup. The gateway must not be running."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the store up to date, or make it. The gateway does so at its start too."`
	Doctor      doctorCmd      `cmd:"" help:"Look at store, key, folders and settings, and say what is wrong and what to do. Exit code 1 if something is."`
	Simulate    simulateCmd    `cmd:"" help:"Play a carrier: post a customer's message to a running gateway, or serve the carrier's API on this machine."`
	Openapi     openapiCmd     `cmd:"" help:"Print the OpenAPI document of the REST API."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a running gateway whether it is ready; exit code 0 if it is."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// env is what commands get from the process.
type env struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the process, like the struct
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(&env{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 done, 1 failed, 2 called wrongly.
func run(e *env, args []string) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("omniservice"),
		kong.Description("A WebSocket realtime agent gateway. Secrets come from the environment or from files only: OMNI_SECRET_KEY (32 random bytes as hex), OMNI_MONGO_URI (a store in MongoDB instead of the embedded one) and OMNI_REDIS_URL (where several nodes meet), or OMNI_SECRET_KEY_FILE, OMNI_MONGO_URI_FILE and OMNI_REDIS_URL_FILE."),
		kong.UsageOnError(), kong.Bind(e), kong.Writers(e.stdout, e.stderr),
		kong.Exit(func(code int) { exit = code }),
	)
	if err != nil {
		_, _ = fmt.Fprintln(e.stderr, "omniservice:", err)
		return 1
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // help was asked for
	}
	if err != nil {
		_, _ = fmt.Fprintln(e.stderr, "omniservice:", err)
		return 2
	}
	if err := k.Run(); err != nil {
		_, _ = fmt.Fprintln(e.stderr, "omniservice:", err)
		if p, ok := errors.AsType[*omni.Problem](err); ok {
			for field, text := range p.Fields {
				_, _ = fmt.Fprintf(e.stderr, "  %s %s\n", field, text)
			}
		}
		return 1
	}
	return 0
}

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, version)
	return err
}
