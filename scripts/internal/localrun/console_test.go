package localrun

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestConsole opens the console at the address that the run prints, and stops
// with the run.
func TestConsole(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, Settings{Addr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0"}, Env{Program: "tokenvend", Out: writer, Log: io.Discard})
		_ = writer.Close()
		ended <- err
	}()
	greeting := make([]byte, 0, 4096)
	for buffer := make([]byte, 1024); !strings.Contains(string(greeting), "listening on "); {
		n, err := reader.Read(buffer)
		if err != nil {
			t.Fatalf("%s: %v", greeting, err)
		}
		greeting = append(greeting, buffer[:n]...)
	}
	address := regexp.MustCompile(`console on (http://127\.0\.0\.1:\d+/\w+/)`).FindSubmatch(greeting)
	if address == nil {
		t.Fatalf("the greeting names no console:\n%s", greeting)
	}
	response, err := http.Get(string(address[1]) + "api/connections")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Connections []struct{ Connection, State string }
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil || len(list.Connections) != 4 {
		t.Errorf("%d connections: %v", len(list.Connections), err)
	}
	_ = response.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(string(address[1])); err == nil {
		t.Error("the console goes on after the run")
	}
}

// TestConsolePortTaken: an address that was chosen must be free, the default one
// need not be.
func TestConsolePortTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := listenConsole(other.Addr().String()); err == nil || !strings.Contains(err.Error(), consoleAddrVariable) {
		t.Errorf("a chosen address that is taken: %v", err)
	}
	own, err := net.Listen("tcp", defaultConsoleAddr) // fails if another program has it, which is as good
	if err == nil {
		defer own.Close()
	}
	c, err := listenConsole(defaultConsoleAddr)
	if err != nil || c.listener != nil || !strings.Contains(c.greeting(), consoleAddrVariable) {
		t.Errorf("the default address, taken: %q, %v", c.greeting(), err)
	}
	if c, err := listenConsole(""); err != nil || c.greeting() != "" {
		t.Errorf("no console: %q, %v", c.greeting(), err)
	}
}
