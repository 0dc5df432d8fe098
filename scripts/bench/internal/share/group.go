package share

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// groups makes control groups for one process each.
type groups struct {
	version, folder string
	// settings are the contents of a group's files, in the order of writing.
	settings []setting
	remove   func(string) error
}

type setting struct{ file, content string }

// findGroups finds the hierarchy of the CPU controller; nil when there is none.
func findGroups(c Config) *groups {
	g := &groups{folder: cmp.Or(c.Root, "/sys/fs/cgroup"), remove: c.Remove}
	if g.remove == nil {
		g.remove = os.Remove
	}
	running, period := strconv.FormatInt(c.Share.Running.Microseconds(), 10), strconv.FormatInt(c.Share.Period.Microseconds(), 10)
	if controllers, err := os.ReadFile(filepath.Join(g.folder, "cgroup.controllers")); err == nil {
		g.version, g.settings = "a cgroup v2 quota", []setting{{"cpu.max", running + " " + period}}
		if slices.Contains(strings.Fields(string(controllers)), "cpu") {
			return g
		}
		return nil
	}
	g.folder = filepath.Join(g.folder, "cpu")
	g.version, g.settings = "a cgroup v1 quota", []setting{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", running}}
	// An ordinary folder would accept every setting without effect.
	if _, err := os.Stat(filepath.Join(g.folder, "cgroup.procs")); err != nil {
		return nil
	}
	return g
}

// usable reports whether a group can be made and removed.
func (g *groups) usable() bool {
	path, err := g.make()
	return err == nil && g.remove(path) == nil
}

// make makes an empty group.
func (g *groups) make() (string, error) {
	path, err := os.MkdirTemp(g.folder, "tokenvend-bench-")
	if err != nil {
		return "", fmt.Errorf("make a control group: %w", err)
	}
	for _, s := range g.settings {
		if err := os.WriteFile(filepath.Join(path, s.file), []byte(s.content), 0o600); err != nil {
			return "", errors.Join(fmt.Errorf("limit a control group: %w", err), g.remove(path))
		}
	}
	return path, nil
}

// limit puts a process into a new group, whose quota is unused.
func (g *groups) limit(pid int) (lift func() error, err error) {
	path, err := g.make()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("put process %d into a control group: %w", pid, err), g.remove(path))
	}
	return func() error { return g.remove(path) }, nil
}
