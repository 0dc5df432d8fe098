// Package readme runs the README: every shell block, exactly as written, on a
// copy of the tree, so that no line in it is one that nobody ran.
//
// A fenced block marked sh is a script; a block marked text after it is what
// the script prints. The HTML comments in [leftOut], just before a script,
// leave it out; any other comment there is an error, so that a typo does not.
package readme

import (
	"fmt"
	"slices"
	"strings"
)

// leftOut are the reasons not to run a script.
var leftOut = []string{"needs an account", "runs this test"}

// Block is one script of the README.
type Block struct {
	// Line is where its fence opens, counted from 1.
	Line   int
	Script string
	// LeftOut is why it is not run; empty when it is.
	LeftOut string
	// Prints are the patterns of the output, line by line; nil when nothing
	// is said about it.
	Prints []string
}

// Serves reports whether the script starts the service, which stays until told
// to end.
func (b Block) Serves() bool {
	return slices.ContainsFunc(strings.Split(b.Script, "\n"), func(line string) bool {
		return line == "make run" || strings.HasSuffix(line, " make run")
	})
}

// Blocks finds the scripts of a Markdown text. Errors name the line.
func Blocks(text string) ([]Block, error) {
	var blocks []Block
	fences, err := split(text)
	if err != nil {
		return nil, err
	}
	after := false // the fence before was a script
	for _, f := range fences {
		switch f.language {
		case "sh":
			if f.mark != "" && !slices.Contains(leftOut, f.mark) {
				return nil, fmt.Errorf("line %d: unknown mark %q; a script is left out with one of %q", f.line, f.mark, leftOut)
			}
			blocks = append(blocks, Block{Line: f.line, Script: f.text, LeftOut: f.mark})
		case "text":
			if after {
				blocks[len(blocks)-1].Prints = strings.Split(strings.TrimSuffix(f.text, "\n"), "\n")
			}
		case "bash", "shell", "console", "":
			return nil, fmt.Errorf("line %d: a fence marked %q; mark scripts sh, what they print text, and others by their language", f.line, f.language)
		}
		after = f.language == "sh"
	}
	return blocks, nil
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
