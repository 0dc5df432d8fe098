package main

import (
	"cmp"
	"context"

	"github.com/tokenvend/tokenvend/scripts/connection/internal/errand"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

func test(ctx context.Context, o options, w world) error {
	url := cmp.Or(o.url, localURL)
	if o.stack != "" {
		outputs, err := w.sam.Outputs(ctx, o.stack)
		if err != nil {
			return err
		}
		url = outputs["Url"]
	}
	api, err := client.Target(url, w.lookup)
	if err != nil {
		return err
	}
	return errand.Test{API: api, Connection: o.name, Subject: o.subject, Out: w.out}.Run(ctx)
}
