// Package readme runs the blocks of the READMEs, exactly as written, on a copy of
// the tree, so that every line in them has been tried.
//
// A fenced block marked sh is a script; a block marked text after it is what the
// script prints. The HTML comments in [leftOut], just before a script, exclude it.
// A block marked go, python or js is a program; an HTML comment just before it names the file
// that it is written to. A block marked json must be JSON. Any other comment
// before a block is an error, so that a typo does not exclude it.
package readme

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Files are the READMEs of the tree whose blocks are run.
var Files = []string{"README.md", "functions/README.md", "pkg/README.md", "pkg/client/README.md", "scripts/README.md"}

// leftOut are the reasons not to run a script.
var leftOut = []string{"needs an account", "runs this test", "takes minutes"}

// ClientFiles are the READMEs of the clients in other languages, which need Python
// and Node.js.
var ClientFiles = []string{"pkg/client/python/README.md", "pkg/client/typescript/README.md"}

// extensions are those of the files of programs, by language.
var extensions = map[string]string{"go": ".go", "python": ".py", "js": ".mjs"}

// Block is one script or program of a README.
type Block struct {
	// Line is the line of its fence, counted from 1.
	Line int
	// Script is the text of a script; empty for a program.
	Script string
	// File and Program are the path and text of a program; empty for a script.
	File, Program string
	// LeftOut is the reason why it is not run; empty when it is.
	LeftOut string
	// Prints are the patterns of the output, line by line; nil when none are given.
	Prints []string
}

// Serves reports whether the script starts the service, which then runs until it
// is stopped.
func (b Block) Serves() bool {
	return slices.ContainsFunc(strings.Split(b.Script, "\n"), func(line string) bool {
		return line == "make run" || strings.HasSuffix(line, " make run")
	})
}

// Parsed returns a script that runs the command's lines of a block with --help: the
// command then checks subcommands and flags, and does nothing else. It is empty
// when the block has no such line.
func (b Block) Parsed() string {
	script := ""
	for line := range strings.Lines(b.Script) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "go run ./scripts/tokenvend ") {
			script += line + " --help\n"
		}
	}
	return script
}

// Blocks finds the scripts and programs of a Markdown text. Errors name the line.
func Blocks(text string) ([]Block, error) {
	var blocks []Block
	fences, err := split(text)
	if err != nil {
		return nil, err
	}
	afterScript := false
	for _, f := range fences {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", f.line, err)
		}
		switch f.language {
		case "sh":
			blocks = append(blocks, Block{Line: f.line, Script: f.text, LeftOut: f.mark})
		case "go", "python", "js":
			blocks = append(blocks, Block{Line: f.line, File: f.mark, Program: f.text})
		case "text":
			if afterScript {
				blocks[len(blocks)-1].Prints = strings.Split(strings.TrimSuffix(f.text, "\n"), "\n")
			}
		}
		afterScript = f.language == "sh"
	}
	return blocks, nil
}

// check reports what is wrong with a block by itself.
func (f fence) check() error {
	switch f.language {
	case "sh":
		if f.mark != "" && !slices.Contains(leftOut, f.mark) {
			return fmt.Errorf("unknown mark %q; a script is left out with one of %q", f.mark, leftOut)
		}
	case "go", "python", "js":
		if !filepath.IsLocal(f.mark) || filepath.Ext(f.mark) != extensions[f.language] {
			return fmt.Errorf("the program has no file; name it in a comment, such as <!-- build/example/main%s -->", extensions[f.language])
		}
	case "json":
		if !json.Valid([]byte(f.text)) {
			return fmt.Errorf("the block is not JSON")
		}
	case "bash", "shell", "console", "":
		return fmt.Errorf("a fence marked %q; mark scripts sh, their output text, and others by their language", f.language)
	}
	return nil
}

// fence is one fenced code block, with the HTML comment just before it.
type fence struct {
	line           int
	language, mark string
	text           string
}

func split(text string) ([]fence, error) {
	var fences []fence
	var open *fence
	mark := ""
	for i, line := range strings.Split(text, "\n") {
		language, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open != nil:
			fences, open = append(fences, *open), nil
		case isFence:
			open, mark = &fence{line: i + 1, language: language, mark: mark}, ""
		case open != nil:
			open.text += line + "\n"
		case strings.TrimSpace(line) != "":
			mark = comment(line)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the fence is never closed", open.line)
	}
	return fences, nil
}

// comment is the text of a line that is one HTML comment; empty for others.
func comment(line string) string {
	inner, isComment := strings.CutPrefix(strings.TrimSpace(line), "<!--")
	if !isComment {
		return ""
	}
	return strings.TrimSpace(strings.TrimSuffix(inner, "-->"))
}
