package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"omniservice/app"
	"omniservice/omni"
	"omniservice/store"
)

// storeFlags name the data that a command works on, beside a server that may be running.
type storeFlags struct {
	DataDir string `name:"data-dir" env:"OMNI_DATA_DIR" default:"./data" type:"path" help:"The gateway's data directory."`
	JSON    bool   `name:"json" help:"Print JSON, for programs."`
}

// config is that of the gateway, as far as its data go.
func (f *storeFlags) config(e *env) (app.Config, error) {
	c := app.Config{DataDir: f.DataDir}
	return c, c.ReadSecrets(e.getenv)
}

// open opens the gateway's store.
func (f *storeFlags) open(e *env) (store.Store, error) {
	c, err := f.config(e)
	if err != nil {
		return nil, err
	}
	return app.OpenStore(e.ctx, c)
}

type userCmd struct {
	Create userCreateCmd `cmd:"" help:"Create a user, and their organisation with a first group if there is none of that name. Prints a login token that works once."`
}

type userCreateCmd struct {
	storeFlags

	Email        string `required:"" help:"E-mail address."`
	Name         string `help:"Name that colleagues and visitors see."`
	Role         string `default:"admin" enum:"admin,supervisor,agent" help:"admin, supervisor or agent."`
	Organisation string `help:"Name or id of the organisation. May be left out while there is at most one."`
	PasswordFile string `help:"File that holds the password in its first line; - reads it from standard input. Without it the user logs in by the printed token."`
	PublicURL    string `name:"public-url" env:"OMNI_PUBLIC_URL" default:"http://localhost:8080" help:"For the login link that is printed."`
}

func (c *userCreateCmd) Run(e *env) error {
	password, err := readPassword(e, c.PasswordFile)
	if err != nil {
		return err
	}
	st, err := c.open(e)
	if err != nil {
		return err
	}
	made, err := app.CreateUser(e.ctx, st, app.NewUser{
		Organisation: c.Organisation, Email: c.Email, Name: c.Name, Role: omni.Role(c.Role), Password: password,
	}, time.Now())
	if closeErr := st.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(made)
	}
	_, err = fmt.Fprintf(e.stdout, "user          %s\norganisation  %s\nlogin link    %s/login#token=%s\n              works once, within 24 hours\n",
		made.UserID, made.OrganisationID, c.PublicURL, made.LoginToken)
	return err
}

func readPassword(e *env, file string) (omni.Secret, error) {
	var b []byte
	var err error
	switch file {
	case "":
		return omni.Secret{}, nil
	case "-":
		b, err = io.ReadAll(io.LimitReader(e.stdin, 4096))
	default:
		b, err = os.ReadFile(file) // #nosec G304 -- the operator names the file
	}
	if err != nil {
		return omni.Secret{}, fmt.Errorf("read password: %w", err)
	}
	return omni.NewSecret(firstLine(string(b))), nil
}

type apikeyCmd struct {
	Create apikeyCreateCmd `cmd:"" help:"Create an API key. It is printed this once."`
}

type apikeyCreateCmd struct {
	storeFlags

	Name         string `required:"" help:"What the key is for."`
	Role         string `default:"service" enum:"service,admin" help:"service, or admin for programs that set the gateway up."`
	Organisation string `help:"Name or id of the organisation. May be left out while there is one."`
}

func (c *apikeyCreateCmd) Run(e *env) error {
	st, err := c.open(e)
	if err != nil {
		return err
	}
	key, rec, err := app.CreateAPIKey(e.ctx, st, c.Organisation, c.Name, omni.Role(c.Role), time.Now())
	if closeErr := st.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]string{"id": rec.ID, "organisationId": rec.OrganisationID, "key": key})
	}
	_, err = fmt.Fprintln(e.stdout, key)
	return err
}
