package lambdahost

import "syscall"

// endWithParent has the kernel kill a process when this one ends, in whatever way. A
// stopped process would not notice, and would stay.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
