//go:build !linux

package lambdahost

import "syscall"

// endWithParent does nothing: only Linux offers it, and fleets need Linux.
func endWithParent(*syscall.SysProcAttr) {}
