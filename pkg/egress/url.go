package egress

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the longest URL accepted, in bytes.
const maxURL = 2048

// parse parses a URL that is well-formed under every policy: absolute, http or
// https, with a host, a valid port, no user and no fragment. The errors of net/url
// are not wrapped, because they quote the URL.
func parse(raw string) (*url.URL, error) {
	if err := checkText(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URL; write https://host/path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must begin with https://")
	case u.User != nil:
		return nil, errors.New("contains a user name or password before the host; remove it")
	case u.Hostname() == "":
		return nil, errors.New("has no host; write https://host/path")
	}
	return u, checkPort(u)
}

func checkText(raw string) error {
	switch {
	case raw == "":
		return errors.New("is empty; write https://host/path")
	case len(raw) > maxURL:
		return fmt.Errorf("is longer than %d bytes; shorten it", maxURL)
	case strings.IndexFunc(raw, notPrintable) >= 0:
		return errors.New("contains a space, a control or a non-ASCII character; percent-encode it, or write the host in punycode")
	case strings.Contains(raw, "#"):
		return errors.New("contains a fragment; remove # and what follows")
	}
	return nil
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

func checkPort(u *url.URL) error {
	if strings.HasSuffix(u.Host, ":") {
		return errors.New("has a colon without a port; remove the colon")
	}
	if u.Port() == "" {
		return nil
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return errors.New("has a port outside 1 to 65535")
	}
	return nil
}

// checkPublic reports why a well-formed URL with a host name is not a public
// destination. Its port is already known to be a number.
func checkPublic(u *url.URL) error {
	if err := checkPublicName(u.Hostname()); err != nil {
		return err
	}
	if u.Scheme != "https" {
		return errors.New("uses http; use https, or add the server's network to PROVIDER_ALLOW_CIDRS")
	}
	if port, _ := strconv.Atoi(u.Port()); u.Port() != "" && port != 443 && port < 1024 {
		return errors.New("uses a privileged port; use 443 or one from 1024 up, or add the server's network to PROVIDER_ALLOW_CIDRS")
	}
	return nil
}
