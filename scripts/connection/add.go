package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/connection/internal/declare"
	"github.com/tokenvend/tokenvend/scripts/connection/internal/errand"
	"github.com/tokenvend/tokenvend/scripts/connection/internal/place"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// maxText is more than a secret holds, in bytes: what is longer is not read whole.
const maxText = secretwriter.MaxText + 1

func add(ctx context.Context, o options, w world) error {
	draft, err := o.draft(w.in)
	if err != nil {
		return err
	}
	a := errand.Addition{Draft: draft, Now: w.now, Out: w.out, Asker: prompt.New(w.in, w.out, o.yes)}
	if o.folder != "" {
		err = o.intoFolder(&a)
	} else {
		err = o.intoAccount(ctx, w, &a)
	}
	if err != nil {
		return err
	}
	if o.try {
		a.Provider = oauth.New(oauth.Config{Egress: a.Deployment.Parser.Egress, Now: w.now})
	}
	return a.Run(ctx)
}

// draft reads what is to be declared.
func (o options) draft(in io.Reader) (declare.Draft, error) {
	d := declare.Draft{Name: o.name, Replace: o.replace, Origin: "standard input"}
	if o.file != "" {
		file, err := os.Open(o.file)
		if err != nil {
			return d, err
		}
		defer file.Close()
		in, d.Origin = file, "file "+filepath.Base(o.file)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxText))
	if err != nil {
		return d, fmt.Errorf("read the declaration: %w", err)
	}
	d.Text = redact.New(string(text))
	return d, nil
}

// localOnly are the networks that providers of the local run may be in.
var localOnly = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func (o options) intoFolder(a *errand.Addition) error {
	if found, err := os.Stat(o.folder); err != nil || !found.IsDir() {
		return errors.New("-folder is no folder that is there; make it first")
	}
	a.Keeper = place.Folder{Path: o.folder}
	a.Deployment = declare.Deployment{Lister: folder.New(folder.Config{Path: o.folder}), Parser: connection.Parser{Egress: localOnly}}
	a.Usage = errand.Usage{Local: true}
	return nil
}

func (o options) intoAccount(ctx context.Context, w world, a *errand.Addition) error {
	settings, errOurs := config.Load(w.lookup, config.SecretPrefix, config.PublicBaseURL, config.ProviderAllowCIDRs)
	aws, errAWS := awsconfig.Load(w.lookup)
	if err := errors.Join(errOurs, errAWS); err != nil {
		return err
	}
	client := aws.SecretsManager()
	a.Keeper = place.Account{Editor: secretwriter.Editor{Client: client}, Prefix: settings.SecretPrefix, KeyARN: o.keyARN}
	a.Deployment = declare.Deployment{
		Lister:  awssecretsmanager.New(awssecretsmanager.Config{Client: client, Prefix: settings.SecretPrefix}),
		Parser:  connection.Parser{Egress: egress.Policy{Allow: settings.ProviderAllowCIDRs}},
		BaseURL: settings.PublicBaseURL,
	}
	if o.stack == "" {
		return nil
	}
	outputs, err := w.sam.Outputs(ctx, o.stack)
	if err != nil {
		return err
	}
	a.Usage = errand.Usage{URL: outputs["Url"], Statement: outputs["CallerStatement"], Curl: outputs["Curl"]}
	if a.Deployment.BaseURL == "" {
		a.Deployment.BaseURL = outputs["Url"]
	}
	return nil
}
