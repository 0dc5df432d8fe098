package localrun

import (
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/tokenvend/tokenvend/scripts/internal/cli/console"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// consoleServer is the console's listener and the secret of its address. Without a
// listener there is no console.
type consoleServer struct {
	listener net.Listener
	secret   string
	// occupied: another program has the default address.
	occupied bool
}

// listenConsole listens for the console. A run goes on without one if another
// program, perhaps the command console, has the default address.
func listenConsole(addr string) (consoleServer, error) {
	if addr == "" {
		return consoleServer{}, nil
	}
	l, err := listen(addr, consoleAddrVariable)
	if err != nil && addr == defaultConsoleAddr && taken(addr) {
		return consoleServer{occupied: true}, nil
	}
	return consoleServer{listener: l, secret: rand.Text()}, err
}

// taken reports whether another program listens on an address.
func taken(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

func (c consoleServer) close() {
	if c.listener != nil {
		_ = c.listener.Close()
	}
}

// greeting is what the run says of the console; empty without one.
func (c consoleServer) greeting() string {
	switch {
	case c.occupied:
		return "no console: another program listens on " + defaultConsoleAddr + "; set " + consoleAddrVariable + " to another address"
	case c.listener != nil:
		return "console on http://" + c.listener.Addr().String() + "/" + c.secret + "/"
	}
	return ""
}

// serve serves the console of the API at url, signed as the caller local, until the
// returned function is called.
func (c consoleServer) serve(url string, failed chan<- error) (stop func()) {
	if c.listener == nil {
		return func() {}
	}
	api := &client.Client{URL: url, Region: region, Credentials: credentials.NewStaticCredentialsProvider(users[0].name, users[0].name, "")}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second,
		Handler: console.New(console.Config{API: api, URL: url, Secret: c.secret})}
	go func() { failed <- server.Serve(c.listener) }()
	return func() { _ = server.Close() }
}
