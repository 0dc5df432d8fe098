package agent

import "net/url"

// Join returns the URL of a path below an upstream's prefix.
func Join(u Upstream, path string) (*url.URL, error) { return u.join(path, "") }
