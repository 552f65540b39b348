package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"omniservice/app"
	"omniservice/carriers/simulate"
	"omniservice/carriers/testcarrier"
	"omniservice/omni"
)

// maxPlayedFile is the largest file that a played customer sends, in bytes.
const maxPlayedFile = 100 << 20

type simulateCmd struct {
	Post  simulatePostCmd  `cmd:"" default:"withargs" help:"Post one signed webhook of a customer's message to a running gateway (default). The account's credentials come from the environment: OMNI_TEST_SECRET, OMNI_TWILIO_AUTH_TOKEN and so on, each also with _FILE."`
	Serve simulateServeCmd `cmd:"" help:"Play a carrier: serve its API on this machine, report what becomes of messages, and post what you type as a customer's."`
}

type simulatePostCmd struct {
	Carrier    string        `default:"test" help:"Carrier to play: test, twilio, ..."`
	URL        string        `required:"" help:"Webhook URL of the carrier account, as the API shows it."`
	From       string        `help:"The customer's address. Empty: one made up."`
	To         string        `required:"" help:"Our address: that of one of the account's channels."`
	Text       string        `help:"What the customer writes. Empty: Hello, unless it is a reaction."`
	Channel    string        `enum:"SMS,MMS,WhatsApp,PubNub," default:"" help:"SMS, MMS, WhatsApp or PubNub. Empty: the carrier's first."`
	ReplyTo    string        `help:"The carrier's id of the message that is answered or reacted to. Not of the Test carrier."`
	Reaction   string        `help:"An emoji that the customer puts on that message. Not of the Test carrier."`
	MediaURL   string        `help:"Address of a file that comes with it. Test carrier only: files of others come from simulate serve."`
	Name       string        `help:"What the customer calls themselves."`
	Fragments  int           `help:"Deliver the text in so many parts. Test carrier only."`
	Duplicates int           `help:"Deliver everything so many times more."`
	Delay      time.Duration `help:"Wait so long first."`
}

// Run takes the account's credentials from the environment: secrets are no flags.
func (s *simulatePostCmd) Run(e *env) error {
	text := s.Text
	if text == "" && s.Reaction == "" {
		text = "Hello"
	}
	var err error
	if strings.EqualFold(s.Carrier, string(omni.CarrierTest)) {
		err = s.test(e, text)
	} else {
		err = s.played(e, text)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "taken")
	return err
}

func (s *simulatePostCmd) test(e *env, text string) error {
	secret, err := app.ReadSecret(e.getenv, "OMNI_TEST_SECRET")
	switch {
	case err != nil:
		return err
	case secret.IsZero():
		return fmt.Errorf("OMNI_TEST_SECRET must hold the secret of the Test carrier account: %w", omni.ErrInvalid)
	case s.Reaction != "" || s.ReplyTo != "":
		return fmt.Errorf("--reaction and --reply-to are not for the Test carrier: %w", omni.ErrInvalid)
	}
	in := testcarrier.Inbound{
		ChannelType: omni.ChannelType(s.Channel), From: s.From, To: s.To, Text: text, MediaURL: s.MediaURL, ProfileName: s.Name,
		Fragments: s.Fragments, Duplicates: s.Duplicates, DelayMs: int(s.Delay.Milliseconds()),
	}
	if in.From == "" {
		in.From = "+14155550123"
	}
	return testcarrier.Client{URL: s.URL, Secret: secret, HTTP: &http.Client{Timeout: 10 * time.Second}}.Post(e.ctx, in)
}

func (s *simulatePostCmd) played(e *env, text string) error {
	if s.MediaURL != "" || s.Fragments != 0 {
		return fmt.Errorf("--media-url and --fragments are for the Test carrier alone: %w", omni.ErrInvalid)
	}
	p, err := app.PlayedProvider(s.Carrier)
	if err != nil {
		return err
	}
	account, given, err := p.Account(e.getenv)
	if err != nil {
		return err
	}
	for _, f := range p.Provider.Fields() {
		if f.Required && !given[f.Name] {
			return fmt.Errorf("%s must hold the account's %s: %w", app.Variable(p.Provider.Name(), f.Name), f.Label, omni.ErrInvalid)
		}
	}
	d, err := simulate.New(p.Player, simulate.Options{Account: account, WebhookURL: s.URL})
	if err != nil {
		return err
	}
	defer d.Close()
	in, err := customer(p, s.Channel, s.From, s.To)
	if err != nil {
		return err
	}
	in.Text, in.ProfileName, in.ReplyTo, in.Reaction = text, s.Name, s.ReplyTo, s.Reaction
	if s.Delay > 0 {
		select {
		case <-time.After(s.Delay):
		case <-e.ctx.Done():
			return e.ctx.Err()
		}
	}
	return p.Deliver(e.ctx, d, in, 1+s.Duplicates)
}

// customer is a message of nothing yet, on one of the carrier's channels.
func customer(p app.Played, channel, from, to string) (simulate.Inbound, error) {
	in := simulate.Inbound{ChannelType: omni.ChannelType(channel), From: from, To: to}
	if channel == "" {
		for _, family := range omni.ChannelTypes {
			if p.Player.Address(family) != "" {
				in.ChannelType = family
				break
			}
		}
	}
	family := in.ChannelType.Family()
	if p.Player.Address(family) == "" {
		return in, omni.Problemf(omni.ErrInvalid, "%s has no channels of type %s", p.Provider.Name(), channel)
	}
	if in.From == "" {
		in.From = p.Player.Customer(family)
	}
	if in.To == "" {
		in.To = p.Player.Address(family)
	}
	return in, nil
}

type simulateServeCmd struct {
	Carrier    string        `required:"" help:"Carrier to play: twilio, ..."`
	Addr       string        `default:"127.0.0.1:9090" help:"Where its API is served. Start the gateway with OMNI_CARRIER_API_BASE=<Carrier>=http://<addr>."`
	URL        string        `help:"Webhook URL of the carrier account, as the API shows it. Empty: statuses go where messages say, and nothing comes from customers."`
	From       string        `help:"The customer's address. Empty: one made up."`
	To         string        `help:"Our address: that of one of the account's channels. Empty: one made up."`
	Channel    string        `enum:"SMS,WhatsApp,PubNub," default:"" help:"SMS, WhatsApp or PubNub. Empty: the carrier's first."`
	Report     []string      `default:"sent,delivered,read" help:"Statuses that are reported of each message, or none."`
	Delay      time.Duration `default:"300ms" help:"How long before each report."`
	Fault      []string      `help:"What goes wrong, as kind[:code][@share]: throttle@0.3, refuse:21610@0.1. Kinds: throttle, busy, error, reset, refuse, taken-error, taken-reset, fail."`
	Duplicates int           `help:"Bring each report so many times more."`
	Shuffle    bool          `help:"Bring reports in any order."`
	Seed       uint64        `help:"Of chance: the same seed, the same faults."`
}

// Run serves until it is stopped. Lines of standard input are what the customer writes.
func (s *simulateServeCmd) Run(e *env) error {
	p, err := app.PlayedProvider(s.Carrier)
	if err != nil {
		return err
	}
	account, given, err := p.Account(e.getenv)
	if err != nil {
		return err
	}
	behaviour, err := s.behaviour()
	if err != nil {
		return err
	}
	in, err := customer(p, s.Channel, s.From, s.To)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(e.ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen on --addr: %w", err)
	}
	base := "http://" + listener.Addr().String()
	log := &lines{to: e.stdout}
	d, err := simulate.New(p.Player, simulate.Options{
		Account: account, Base: base, WebhookURL: s.URL, Seed: s.Seed, Behaviour: behaviour, Watch: log.note,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer d.Close()
	d.SetTemplates(p.Templates)
	log.print("%s is played at %s. Start the gateway with OMNI_CARRIER_API_BASE=%s=%s", p.Provider.Name(), base, p.Provider.Name(), base)
	for _, f := range p.Provider.Fields() {
		variable := app.Variable(p.Provider.Name(), f.Name)
		switch value := account.Config[f.Name]; {
		case given[f.Name]:
			log.print("  %-24s from %s", f.Name, variable)
		case f.Secret && !account.Credential(f.Name).IsZero():
			log.print("  %-24s %s (made up; %s sets another)", f.Name, account.Credential(f.Name).Reveal(), variable)
		case value != "":
			log.print("  %-24s %s (made up; %s sets another)", f.Name, value, variable)
		}
	}
	log.print("  our address              %s, %s", in.To, in.ChannelType)
	log.print("  the customer             %s", in.From)

	server := &http.Server{Handler: d, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	go func() { // the terminal may never end: the process does
		if err := converse(e.ctx, e.stdin, d, in, log); err != nil && e.ctx.Err() == nil {
			log.print("read what you type: %v", err)
		}
	}()
	select {
	case <-e.ctx.Done():
		err = server.Close()
		<-failed //nolint:errcheck // it says that the server was closed
	case err = <-failed:
	}
	return err
}

func (s *simulateServeCmd) behaviour() (simulate.Behaviour, error) {
	b := simulate.Behaviour{Delay: s.Delay, Duplicates: s.Duplicates, Shuffle: s.Shuffle}
	for _, status := range s.Report {
		if status != "none" {
			b.Reports = append(b.Reports, simulate.Report{Status: omni.Status(status)})
		}
	}
	for _, text := range s.Fault {
		f, err := simulate.ParseFault(text)
		if err != nil {
			return b, err
		}
		b.Faults = append(b.Faults, f)
	}
	return b, b.Validate()
}

// converse posts each line as the customer's message; "/file <path>" sends a file.
func converse(ctx context.Context, from io.Reader, d *simulate.Double, in simulate.Inbound, log *lines) error {
	scanner := bufio.NewScanner(from)
	for n := 1; scanner.Scan() && ctx.Err() == nil; {
		text := strings.TrimSpace(scanner.Text())
		if text == "" {
			continue
		}
		message := in
		message.Text = text
		if path, ok := strings.CutPrefix(text, "/file "); ok {
			id := fmt.Sprintf("file-%d%s", n, filepath.Ext(path))
			f, err := playedFile(strings.TrimSpace(path))
			if err != nil {
				log.print("%v", err)
				continue
			}
			d.AddFile(id, f)
			message.Text, message.Files = "", []string{id}
			n++
		}
		if err := d.Receive(ctx, message); errors.Is(err, omni.ErrInvalid) {
			log.print("%v", err) // what was posted the log tells by itself
		}
	}
	return scanner.Err()
}

func playedFile(path string) (simulate.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return simulate.File{}, fmt.Errorf("find the file: %w", err)
	}
	if info.Size() > maxPlayedFile {
		return simulate.File{}, fmt.Errorf("%s has more than %d bytes", path, maxPlayedFile)
	}
	body, err := os.ReadFile(path) // #nosec G304 -- whoever types it may read it
	if err != nil {
		return simulate.File{}, fmt.Errorf("read the file: %w", err)
	}
	kind, _, _ := strings.Cut(mime.TypeByExtension(filepath.Ext(path)), ";")
	if kind == "" {
		kind, _, _ = strings.Cut(http.DetectContentType(body), ";")
	}
	return simulate.File{Name: filepath.Base(path), ContentType: kind, Body: body}, nil
}

// lines is a log for people: one line for each thing that happens.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) print(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.to, format+"\n", args...)
}

func (l *lines) note(n simulate.Note) {
	at := n.At.Format("15:04:05")
	outcome := ""
	if n.Err != nil {
		outcome = ": " + n.Err.Error()
	}
	switch {
	case n.Attempt != nil:
		a := n.Attempt
		what := fmt.Sprintf("%s  %s -> %s  %q", a.ID, a.From, a.To, a.Text)
		if a.Template != "" {
			what += "  template " + a.Template
		}
		if a.Reaction != "" {
			what += "  reaction " + a.Reaction
		}
		if files := len(a.FileURLs) + len(a.FileIDs); files > 0 {
			what += fmt.Sprintf("  files: %d", files)
		}
		word := "taken   "
		if !a.Taken {
			word = "refused "
		}
		if a.Fault.Kind != "" {
			what += "  fault: " + string(a.Fault.Kind)
		}
		l.print("%s  %s  %s", at, word, what)
	case n.Mark != nil:
		l.print("%s  shown     %s  %s", at, n.Mark.Kind, n.Mark.MessageID)
	case n.Report != nil:
		l.print("%s  reported  %s  %s%s", at, n.Of.ID, n.Report.Status, outcome)
	case n.Inbound != nil:
		l.print("%s  customer  %s -> %s  %q%s", at, n.Inbound.From, n.Inbound.To, n.Inbound.Text, outcome)
	default:
		l.print("%s  request   %s", at, n.Request)
	}
}
