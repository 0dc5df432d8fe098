package localrun

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// The variables of a local run.
const (
	addrVariable        = "TOKENVEND_ADDR"
	sandboxAddrVariable = "TOKENVEND_SANDBOX_ADDR"
	consoleAddrVariable = "TOKENVEND_CONSOLE_ADDR"
	connectionsVariable = "TOKENVEND_CONNECTIONS"
	renewEveryVariable  = "TOKENVEND_RENEW_EVERY"
	providersVariable   = "TOKENVEND_SANDBOX_PROVIDERS"

	hostsVariable        = "TOKENVEND_HOSTS"
	sandboxHostsVariable = "TOKENVEND_SANDBOX_HOSTS"
)

const (
	defaultAddr        = "127.0.0.1:8080"
	defaultSandboxAddr = "127.0.0.1:8090"
	defaultConsoleAddr = "127.0.0.1:8091"
	defaultRenewEvery  = time.Minute
)

// Settings are where a local run listens and what it serves.
type Settings struct {
	// Addr is the API's address, on loopback; port 0 is any free port.
	Addr string
	// SandboxAddr is the address of the sandbox providers, on loopback too.
	SandboxAddr string
	// ConsoleAddr is the address of the console, on loopback too; empty means that
	// there is none.
	ConsoleAddr string
	// Connections is an existing folder of connection files; empty means the sandbox's
	// connections, in a folder that is removed when the run ends.
	Connections string
	// SandboxProviders are entries of the provider catalogue that the sandbox plays
	// besides its own, with connections for each. They need the sandbox's connections.
	SandboxProviders []string
	// RenewEvery is the renewer's interval; zero means a minute. A shorter interval
	// notices changed files sooner and renews nothing earlier: tokens become due by the
	// minute.
	RenewEvery time.Duration
	// Hosts and SandboxHosts are the hosts besides loopback, in lower case and without
	// port, that the API and the sandbox serve. A request for any other is refused.
	Hosts, SandboxHosts []string
}

func (s Settings) renewEvery() time.Duration { return cmp.Or(s.RenewEvery, defaultRenewEvery) }

// ReadSettings reads the variables. An unset variable has its default, and an
// invalid one is an error that names it.
func ReadSettings(lookup func(string) (string, bool)) (Settings, error) {
	addr, errAddr := readAddr(lookup, addrVariable, defaultAddr)
	sandboxAddr, errSandbox := readAddr(lookup, sandboxAddrVariable, defaultSandboxAddr)
	consoleAddr, errConsole := readAddr(lookup, consoleAddrVariable, defaultConsoleAddr)
	connections, errConnections := readFolder(lookup)
	providers, errProviders := readProviders(lookup, connections)
	renewEvery, errRenew := readRenewEvery(lookup)
	hosts, errHosts := readHosts(lookup, hostsVariable)
	sandboxHosts, errSandboxHosts := readHosts(lookup, sandboxHostsVariable)
	if err := errors.Join(errAddr, errSandbox, errConsole, errConnections, errProviders, errRenew, errHosts, errSandboxHosts); err != nil {
		return Settings{}, err
	}
	return Settings{
		Addr: addr, SandboxAddr: sandboxAddr, ConsoleAddr: consoleAddr, Connections: connections, RenewEvery: renewEvery,
		Hosts: hosts, SandboxHosts: sandboxHosts, SandboxProviders: providers,
	}, nil
}

// readAddr accepts loopback only: the local callers' keys are public, and the sandbox
// requires none.
func readAddr(lookup func(string) (string, bool), variable, standard string) (string, error) {
	addr, set := lookup(variable)
	if !set {
		return standard, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%s is %q; use an address and a port, such as %s", variable, addr, standard)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback() || ip.Zone() != "") {
		return "", fmt.Errorf("%s is %q, but a local run listens on loopback only; use %s", variable, addr, standard)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return "", fmt.Errorf("%s is %q, but %q is not a port; use a number from 0 to 65535 (0 takes any free port)", variable, addr, port)
	}
	return addr, nil
}

func readFolder(lookup func(string) (string, bool)) (string, error) {
	folder, set := lookup(connectionsVariable)
	if !set {
		return "", nil
	}
	found, err := os.Stat(folder)
	if err != nil {
		return "", fmt.Errorf("%s is %q: %w; name a folder of connection files, or unset it to use the sandbox's", connectionsVariable, folder, withoutPath(err))
	}
	if !found.IsDir() {
		return "", fmt.Errorf("%s is %q, which is not a folder; name the folder that holds the connection files", connectionsVariable, folder)
	}
	return strings.TrimSuffix(folder, "/"), nil
}

// readProviders reads names of the provider catalogue, separated by commas.
func readProviders(lookup func(string) (string, bool), connections string) (names []string, err error) {
	text, _ := lookup(providersVariable)
	if text == "" {
		return nil, nil
	}
	if connections != "" {
		return nil, fmt.Errorf("%s is set beside %s; unset one: the sandbox writes no connections into a folder of yours", providersVariable, connectionsVariable)
	}
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if err := sandbox.CanPlay(name); err != nil {
			return nil, fmt.Errorf("%s is %q: %w; name entries of pkg/provider/catalogue, separated by commas", providersVariable, text, err)
		}
		names = append(names, name)
	}
	return names, nil
}

func readRenewEvery(lookup func(string) (string, bool)) (time.Duration, error) {
	text, set := lookup(renewEveryVariable)
	if !set {
		return defaultRenewEvery, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < time.Second {
		return 0, fmt.Errorf("%s is %q; use a duration of at least 1s, such as 1m or 15s", renewEveryVariable, text)
	}
	return every, nil
}

// withoutPath removes the operation and path, which the message has already.
func withoutPath(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
