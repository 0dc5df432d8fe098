package share_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/share"
)

func TestOfMemory(t *testing.T) {
	got := share.OfMemory(256)
	if got.Period != 20*time.Millisecond || got.Running.Round(10*time.Microsecond) != 2890*time.Microsecond {
		t.Errorf("256 MB get %v, want 2.89 ms of 20", got)
	}
	if whole := share.OfMemory(1769); whole.Running != whole.Period {
		t.Errorf("1,769 MB get %v, want a whole CPU", whole)
	}
}

// signalled records which signals it got, and when after it was made.
type signalled struct {
	began time.Time
	got   []string
	// after that many signals it has ended; zero means never.
	after int
}

func (*signalled) PID() int { return 1 }

func (s *signalled) Signal(signal syscall.Signal) error {
	if s.after > 0 && len(s.got) == s.after {
		return errors.New("it has ended")
	}
	name := map[syscall.Signal]string{syscall.SIGSTOP: "stop", syscall.SIGCONT: "continue"}[signal]
	s.got = append(s.got, time.Since(s.began).String()+" "+name)
	return nil
}

func TestSignals(t *testing.T) {
	limiter := share.New(share.Config{Share: share.Share{Running: 3 * time.Millisecond, Period: 20 * time.Millisecond}, Root: t.TempDir()})
	if limiter.Means() != "signals" {
		t.Fatalf("limited by %s where there are no control groups", limiter.Means())
	}
	for _, tc := range []struct {
		name       string
		after      int
		liftedWhen time.Duration
		want       []string
	}{
		{"lifted while it runs", 0, 22 * time.Millisecond, []string{"3ms stop", "20ms continue", "22ms continue"}},
		{"lifted while it is stopped", 0, 30 * time.Millisecond, []string{"3ms stop", "20ms continue", "23ms stop", "30ms continue"}},
		{"lifted at once", 0, 0, []string{"0s continue"}},
		{"ended before", 2, time.Minute, []string{"3ms stop", "20ms continue"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &signalled{began: time.Now(), after: tc.after}
				lift, err := limiter.Limit(p)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(tc.liftedWhen) // of synctest's clock
				if err := lift(); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tc.want, p.got); diff != "" {
					t.Errorf("signals (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestGroupFiles(t *testing.T) {
	limited := share.Share{Running: 2894 * time.Microsecond, Period: 20 * time.Millisecond}
	for _, tc := range []struct {
		name, marker, content string
		means, folder         string
		want                  map[string]string
	}{
		{"v2", "cgroup.controllers", "cpuset cpu io\n", "a cgroup v2 quota", ".", map[string]string{"cpu.max": "2894 20000"}},
		{"v2 without the CPU", "cgroup.controllers", "cpuset io hugetlb\n", "signals", "", nil},
		{"v1", "cpu/cgroup.procs", "", "a cgroup v1 quota", "cpu", map[string]string{"cpu.cfs_quota_us": "2894", "cpu.cfs_period_us": "20000"}},
		{"a folder that is not mounted", "cpu/notes", "", "signals", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, tc.marker)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, tc.marker), []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			limiter := share.New(share.Config{Share: limited, Root: root, Remove: os.RemoveAll})
			if limiter.Means() != tc.means {
				t.Errorf("limited by %s, want %s", limiter.Means(), tc.means)
			}
			if tc.want == nil {
				return
			}
			lift, err := limiter.Limit(&signalled{})
			if err != nil {
				t.Fatal(err)
			}
			tc.want["cgroup.procs"] = "1"
			if diff := cmp.Diff(tc.want, contents(t, filepath.Join(root, tc.folder))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if err := lift(); err != nil || len(groupsIn(t, filepath.Join(root, tc.folder))) > 0 {
				t.Errorf("a group is left: %v", err)
			}
		})
	}
}

func groupsIn(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "tokenvend-bench-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// contents are those of the files of the one group in folder, by name.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	groups := groupsIn(t, folder)
	if len(groups) != 1 {
		t.Fatalf("%d groups in %s, want 1", len(groups), folder)
	}
	files, err := os.ReadDir(groups[0])
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(groups[0], file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[file.Name()] = string(text)
	}
	return found
}

const spinning = "SHARE_TEST_SPINS"

// TestMain is also the process that is limited: it waits for a line and then uses
// so much CPU time.
func TestMain(m *testing.M) {
	enough, err := time.ParseDuration(os.Getenv(spinning))
	if err != nil {
		os.Exit(m.Run())
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	for began := used(); used()-began < enough; {
	}
}

func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// child is a process that the test starts.
type child struct{ *exec.Cmd }

func (c child) PID() int { return c.Process.Pid }

func (c child) Signal(signal syscall.Signal) error { return c.Process.Signal(signal) }

func TestQuotaHolds(t *testing.T) {
	eighth := share.Share{Running: 2500 * time.Microsecond, Period: 20 * time.Millisecond}
	limiter := share.New(share.Config{Share: eighth})
	if limiter.Means() == "signals" {
		t.Skip("NOT RUN: no control group can be made here; as root on Linux it can")
	}
	c := child{exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), spinning+"=20ms")
	input, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lift, err := limiter.Limit(c)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_ = input.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	// Eight quotas take at least seven periods; the first may be half used.
	if took := time.Since(began); took < 6*eighth.Period {
		t.Errorf("20 ms of CPU time took %v, at an eighth of a CPU", took)
	}
	if err := lift(); err != nil {
		t.Errorf("the control group was not removed: %v", err)
	}
}
