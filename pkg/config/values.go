package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
)

func parseLogLevel(value string, _ bool, c *Config) error {
	switch strings.ToLower(value) {
	case "", "info":
		c.LogLevel = slog.LevelInfo
	case "debug":
		c.LogLevel = slog.LevelDebug
	case "warn":
		c.LogLevel = slog.LevelWarn
	case "error":
		c.LogLevel = slog.LevelError
	default:
		return errors.New("is none of debug, info, warn, error")
	}
	return nil
}

func parsePublicBaseURL(value string, _ bool, c *Config) error {
	if value == "" {
		return nil
	}
	base, err := url.Parse(value)
	if err != nil {
		return errors.New("is no URL; it reads https://HOST or https://HOST/PATH")
	}
	if err := checkBase(base); err != nil {
		return err
	}
	// The redirect URI is compared byte for byte by the provider (RFC 6749
	// §3.1.2), so what is written must be what is built.
	if base.String() != value {
		return errors.New("is not written plainly; leave out empty parts and escapes")
	}
	c.PublicBaseURL = value
	return nil
}

func checkBase(base *url.URL) error {
	host := base.Hostname()
	switch {
	case base.Scheme != "https" && base.Scheme != "http" || host == "" || base.Opaque != "":
		return errors.New("must begin with https:// and a host")
	case base.Scheme == "http" && !loopback(host):
		return errors.New("is http on a host that is not loopback; use https")
	case base.User != nil:
		return errors.New("holds a user or password; leave it out")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return errors.New("has a query or a fragment; leave it out")
	case strings.HasSuffix(base.Path, "/"):
		return errors.New("ends with a slash; leave it out")
	case base.Path != "" && path.Clean(base.Path) != base.Path || strings.Contains(base.EscapedPath(), "%"):
		return errors.New("has a path with dots, doubled slashes or escapes; write it plainly")
	case strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || unicode.IsUpper(r) }):
		return errors.New("has a host that is not lower-case ASCII; write it so, an international name in its xn-- form")
	}
	return checkPort(base)
}

func checkPort(base *url.URL) error {
	port := base.Port()
	if port == "" && !strings.HasSuffix(base.Host, ":") {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("has no port between 1 and 65535 after the colon")
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func parseProviderAllowCIDRs(value string, _ bool, c *Config) error {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	var problems []error
	for i, word := range words {
		network, err := parseCIDR(word)
		if err != nil {
			problems = append(problems, fmt.Errorf("network %d %w", i+1, err))
			continue
		}
		c.ProviderAllowCIDRs = append(c.ProviderAllowCIDRs, network)
	}
	return joined(problems)
}

// parseCIDR accepts a network as it must be written: an error that guesses what
// was meant lets the operator decide, where a silent guess would open more.
func parseCIDR(word string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(word); err == nil {
		return netip.Prefix{}, fmt.Errorf("is a bare address; for that one alone write %s/%d", address.WithZone(""), address.BitLen())
	}
	network, err := netip.ParsePrefix(word)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("is no network; write one like 10.20.0.0/16")
	case network.Bits() == 0:
		return netip.Prefix{}, errors.New("is every address there is, which would switch the protection off; name the networks you need")
	case network.Addr().Is4In6():
		return netip.Prefix{}, errors.New("is IPv4 written as IPv6; write it as IPv4")
	case network.Masked() != network:
		return netip.Prefix{}, fmt.Errorf("has bits set beyond its length; write %s", network.Masked())
	}
	return network, nil
}

// joined puts several problems of one variable on one line.
func joined(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	texts := make([]string, len(problems))
	for i, problem := range problems {
		texts[i] = problem.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
