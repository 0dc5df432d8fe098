package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
)

// openFront serves the API on loopback, before functions that may come later:
// they must know its address first. It returns its URL, and tells the cloud.
func (b *bench) openFront(ctx context.Context, c *cloud.Cloud, hosts map[string]localgateway.Function) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the API: %w", err)
	}
	return b.serveFront(l, c, hosts)
}

func (b *bench) serveFront(l net.Listener, c *cloud.Cloud, hosts map[string]localgateway.Function) (string, error) {
	late := map[string]localgateway.Function{}
	for _, name := range functions() {
		late[name] = lookup{name: name, among: hosts}
	}
	front, err := cloud.Front(late, b.log)
	if err != nil {
		return "", errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: front, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }() // it ends with the bench
	b.atEnd(func() { _ = server.Close() })
	url := "http://" + l.Addr().String() + "/" + cloud.Stage
	return url, c.SetPublicURL(url)
}

// lookup is a function that is looked up when it is asked.
type lookup struct {
	name  string
	among map[string]localgateway.Function
}

// Invoke asks the function of that name.
func (f lookup) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	function := f.among[f.name]
	if function == nil {
		return nil, fmt.Errorf("function %s has not been started", f.name)
	}
	return function.Invoke(ctx, event)
}
