package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds what is read. It is slightly more than the 64 KiB of a secret, so
// that the parser of the text reports the excess as for any secret; a larger file
// is not read completely.
const maxFile = 65 << 10

// readFile reads a file inside the root. Links are followed if their target is
// inside too. Only regular files are read: a pipe would block.
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
		return nil, fmt.Errorf("it is larger than the maximum size of a secret, %d bytes", 64<<10)
	}
	return text, err
}

// explainLink explains an error that is caused by a link out of the root: the error
// of os.Root names only paths. A file that does not exist keeps its error.
func explainLink(root *os.Root, name string, err error) error {
	link, statErr := root.Lstat(name)
	if statErr != nil || link.Mode().Type() != fs.ModeSymlink || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("it is a link that cannot be followed (%s); its target must be a file inside the folder", reason(err))
}

// reason removes the path from an error of the file system: the caller names the
// file as the operator knows it.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
