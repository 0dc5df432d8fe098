package fleet

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// watchdog kills every process group that is frozen when its input ends.
const watchdog = `frozen=" "
while read -r what group; do
	case $what in
	freeze) frozen="$frozen$group " ;;
	thaw) frozen="${frozen%% $group *} ${frozen#* $group }" ;;
	esac
done
for group in $frozen; do kill -KILL -- "-$group" 2>/dev/null; done`

// guard is a process that outlives this one. When this one ends, in whatever way, a
// running function loses its Runtime API and ends too; a frozen one would stay, so
// the guard kills it.
type guard struct {
	mu  sync.Mutex
	in  io.WriteCloser
	cmd *exec.Cmd
}

func startGuard() (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdog)
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	return &guard{in: in, cmd: cmd}, nil
}

func (g *guard) write(what string, group int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = fmt.Fprintln(g.in, what, group) // fails only if the guard has ended
}

func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.in.Close()
	_ = g.cmd.Wait()
}
