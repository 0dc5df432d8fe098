package localrun_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// in finds variables in a map.
func in(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}
}

func TestReadSettings(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		name      string
		variables map[string]string
		want      localrun.Settings
	}{
		{"defaults", nil, localrun.Settings{Addr: "127.0.0.1:8080", SandboxAddr: "127.0.0.1:8090", ConsoleAddr: "127.0.0.1:8091", RenewEvery: time.Minute}},
		{"all set", map[string]string{"TOKENVEND_ADDR": "127.0.0.2:0", "TOKENVEND_SANDBOX_ADDR": "[::1]:9000", "TOKENVEND_CONSOLE_ADDR": "127.0.0.1:0", "TOKENVEND_CONNECTIONS": folder + "/", "TOKENVEND_RENEW_EVERY": "1.5s"},
			localrun.Settings{Addr: "127.0.0.2:0", SandboxAddr: "[::1]:9000", ConsoleAddr: "127.0.0.1:0", Connections: folder, RenewEvery: 1500 * time.Millisecond}},
		{"hosts", map[string]string{"TOKENVEND_HOSTS": "Dev.Example, 192.168.1.2\tfd00::1", "TOKENVEND_SANDBOX_HOSTS": "host.docker.internal"},
			localrun.Settings{Addr: "127.0.0.1:8080", SandboxAddr: "127.0.0.1:8090", ConsoleAddr: "127.0.0.1:8091", RenewEvery: time.Minute,
				Hosts: []string{"dev.example", "192.168.1.2", "fd00::1"}, SandboxHosts: []string{"host.docker.internal"}}},
		{"providers", map[string]string{"TOKENVEND_SANDBOX_PROVIDERS": "shopify, salesforce"}, localrun.Settings{
			Addr: "127.0.0.1:8080", SandboxAddr: "127.0.0.1:8090", ConsoleAddr: "127.0.0.1:8091", RenewEvery: time.Minute,
			SandboxProviders: []string{"shopify", "salesforce"},
		}},
		{"localhost", map[string]string{"TOKENVEND_ADDR": "localhost:8081"}, localrun.Settings{Addr: "localhost:8081", SandboxAddr: "127.0.0.1:8090", ConsoleAddr: "127.0.0.1:8091", RenewEvery: time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := localrun.ReadSettings(in(c.variables))
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReadSettingsRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ variable, value, want string }{
		{"TOKENVEND_ADDR", "", "use an address and a port, such as 127.0.0.1:8080"},
		{"TOKENVEND_ADDR", "8080", "use an address and a port"},
		{"TOKENVEND_ADDR", ":8080", "loopback only; use 127.0.0.1:8080"},
		{"TOKENVEND_ADDR", "0.0.0.0:8080", "loopback only"},
		{"TOKENVEND_ADDR", "[::]:8080", "loopback only"},
		{"TOKENVEND_ADDR", "192.168.1.2:8080", "loopback only"},
		{"TOKENVEND_ADDR", "example.com:8080", "loopback only"},
		{"TOKENVEND_ADDR", "[::1%lo]:8080", "loopback only"},
		{"TOKENVEND_ADDR", "127.0.0.1:", `"" is not a port`},
		{"TOKENVEND_ADDR", "127.0.0.1:65536", `"65536" is not a port`},
		{"TOKENVEND_SANDBOX_ADDR", "0.0.0.0:8090", "loopback only; use 127.0.0.1:8090"},
		{"TOKENVEND_CONNECTIONS", "", "no such file or directory"},
		{"TOKENVEND_CONNECTIONS", "/nowhere/at/all", "no such file or directory; name a folder"},
		{"TOKENVEND_CONNECTIONS", file, "which is not a folder"},
		{"TOKENVEND_RENEW_EVERY", "", "use a duration of at least 1s, such as 1m"},
		{"TOKENVEND_RENEW_EVERY", "60", "use a duration"},
		{"TOKENVEND_RENEW_EVERY", "999ms", "at least 1s"},
		{"TOKENVEND_RENEW_EVERY", "-1m", "at least 1s"},
		{"TOKENVEND_RENEW_EVERY", "1d", "use a duration"},
		{"TOKENVEND_HOSTS", "dev.example,*", `"*"; use host names`},
		{"TOKENVEND_HOSTS", "*.example", "use host names"},
		{"TOKENVEND_HOSTS", "http://dev.example", "without scheme and port"},
		{"TOKENVEND_SANDBOX_HOSTS", "host.docker.internal:8090", "without scheme and port"},
		{"TOKENVEND_SANDBOX_HOSTS", "a..b", "use host names"},
		{"TOKENVEND_SANDBOX_PROVIDERS", "shopify,shopfy", `"shopfy" is not a name of the provider catalogue`},
		{"TOKENVEND_SANDBOX_PROVIDERS", "adp", `"adp" offers no OAuth grant: ADP wants`},
	} {
		t.Run(c.variable+" "+c.value, func(t *testing.T) {
			_, err := localrun.ReadSettings(in(map[string]string{c.variable: c.value}))
			if err == nil || !regexp.MustCompile("^"+c.variable+" (is|has) ").MatchString(err.Error()) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that names %s and says %q", err, c.variable, c.want)
			}
		})
	}
	t.Run("providers beside a folder", func(t *testing.T) {
		_, err := localrun.ReadSettings(in(map[string]string{"TOKENVEND_SANDBOX_PROVIDERS": "shopify", "TOKENVEND_CONNECTIONS": t.TempDir()}))
		if err == nil || !strings.Contains(err.Error(), "unset one") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("every problem at once", func(t *testing.T) {
		_, err := localrun.ReadSettings(in(map[string]string{"TOKENVEND_ADDR": "x", "TOKENVEND_CONNECTIONS": file, "TOKENVEND_RENEW_EVERY": "0"}))
		if err == nil || strings.Count(err.Error(), "TOKENVEND_") != 3 {
			t.Errorf("error %v", err)
		}
	})
}
