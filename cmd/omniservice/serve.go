package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"omniservice/app"
)

type serveCmd struct {
	app.Config
}

func (s *serveCmd) Run(e *env) error {
	// With a single processor of Go's own, every commit's fsync holds up all that could be done meanwhile: on one core
	// that costs three quarters of the rate and most of the latency (docs/performance.md).
	if runtime.GOMAXPROCS(0) < 2 && e.getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2)
	}
	if err := s.ReadSecrets(e.getenv); err != nil {
		return err
	}
	a, err := app.New(e.ctx, s.Config, app.Options{Version: version, LogTo: e.stderr, Out: e.stdout})
	if err != nil {
		return err
	}
	if err := a.Start(e.ctx); err != nil {
		return err
	}
	select {
	case <-e.ctx.Done():
	case err = <-a.Failed():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), s.DrainTime+10*time.Second)
	defer cancel()
	if stopErr := a.Stop(ctx); err == nil {
		err = stopErr
	}
	return err
}

type openapiCmd struct{}

func (openapiCmd) Run(e *env) error {
	doc, err := app.OpenAPI()
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(doc)
	return err
}

type healthcheckCmd struct {
	OpsAddr string `name:"ops-addr" env:"OMNI_OPS_ADDR" default:"127.0.0.1:8081" help:"The gateway's OMNI_OPS_ADDR."`
}

func (h *healthcheckCmd) Run(e *env) error {
	host, port, err := net.SplitHostPort(h.OpsAddr)
	if err != nil {
		return fmt.Errorf("--ops-addr %q must be host:port", h.OpsAddr)
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimRight(line, "\r")
}
