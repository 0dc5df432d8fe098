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
		return errors.New("is not debug, info, warn or error")
	}
	return nil
}

func parseMonitoring(value string, _ bool, c *Config) error {
	switch value {
	case "":
		c.Monitoring = "full"
	case "full", "basic", "none":
		c.Monitoring = value
	default:
		return errors.New("is not full, basic or none")
	}
	return nil
}

func parsePublicBaseURL(value string, _ bool, c *Config) error {
	if value == "" {
		return nil
	}
	base, err := url.Parse(value)
	if err != nil {
		return errors.New("is not a URL; write https://HOST or https://HOST/PATH")
	}
	if err := checkBase(base); err != nil {
		return err
	}
	// The provider compares the redirect URI byte for byte (RFC 6749 §3.1.2), so
	// the URL must not change when it is parsed.
	if base.String() != value {
		return errors.New("is not in normal form; remove empty parts and escapes")
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
		return errors.New("contains a user or password; remove it")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return errors.New("has a query or a fragment; remove it")
	case strings.HasSuffix(base.Path, "/"):
		return errors.New("ends with a slash; remove it")
	case base.Path != "" && path.Clean(base.Path) != base.Path || strings.Contains(base.EscapedPath(), "%"):
		return errors.New("has a path with dots, doubled slashes or escapes; remove them")
	case strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || unicode.IsUpper(r) }):
		return errors.New("has a host that is not lower-case ASCII; change it, an international name to its xn-- form")
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
	var errs []error
	for i, word := range words {
		network, err := parseCIDR(word)
		if err != nil {
			errs = append(errs, fmt.Errorf("network %d %w", i+1, err))
			continue
		}
		c.ProviderAllowCIDRs = append(c.ProviderAllowCIDRs, network)
	}
	return joined(errs)
}

// parseCIDR accepts a network in normal form only. Its errors suggest a value and
// leave the decision to the operator; a silent correction could allow more.
func parseCIDR(word string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(word); err == nil {
		return netip.Prefix{}, fmt.Errorf("is an address without a prefix length; for that address alone write %s/%d", address.WithZone(""), address.BitLen())
	}
	network, err := netip.ParsePrefix(word)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("is not a network; write one like 10.20.0.0/16")
	case network.Bits() == 0:
		return netip.Prefix{}, errors.New("contains every address, which would disable the protection; list the networks that you need")
	case network.Addr().Is4In6():
		return netip.Prefix{}, errors.New("is an IPv4 network in IPv6 form; write it as IPv4")
	case network.Masked() != network:
		return netip.Prefix{}, fmt.Errorf("has bits set beyond its prefix length; write %s", network.Masked())
	}
	return network, nil
}

// joined puts several errors of one variable on one line.
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
