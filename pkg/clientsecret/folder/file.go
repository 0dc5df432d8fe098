package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds what is read. It is a little more than the 64 KiB a secret may
// have, so that whoever judges the text says so in terms of secrets; beyond it
// the file is not read at all.
const maxFile = 65 << 10

// readFile reads a file inside the root. Links are followed while they stay
// inside; what is not a regular file (a pipe would block) is refused.
func readFile(root *os.Root, name string) ([]byte, error) {
	found, err := root.Stat(name)
	if err != nil {
		return nil, explainLink(root, name, err)
	}
	if !found.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		return nil, fmt.Errorf("it is larger than a secret may be, %d bytes", 64<<10)
	}
	return text, err
}

// explainLink says of a link that it is one: a root's own words for a link that
// leads out of it are about paths. What does not exist stays so.
func explainLink(root *os.Root, name string, err error) error {
	link, statErr := root.Lstat(name)
	if statErr != nil || link.Mode().Type() != fs.ModeSymlink || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("it is a link that cannot be followed (%s); it must lead to a file inside the folder", reason(err))
}

// reason strips the path from a file system's error: the caller names the file
// as the operator knows it.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
