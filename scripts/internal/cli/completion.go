package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints a script for a shell.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

func (completionCommand) details() string {
	return `Load it in bash with

  source <(tokenvend completion bash)

in zsh, after compinit, with the same line for zsh, and in fish with

  tokenvend completion fish | source
`
}

// scripts ask the command itself for the words that can follow, so that they fit the
// version that runs. Without a word, the shell completes the names of files.
var scripts = map[string]string{
	"bash": `_tokenvend() {
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _tokenvend tokenvend
`,
	"zsh": `_tokenvend() {
  local -a found
  found=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $found ]]; then compadd -a found; else _files; fi
}
compdef _tokenvend tokenvend
`,
	"fish": `complete -c tokenvend -a '(tokenvend complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
}

// Run prints the script.
func (c completionCommand) Run(s *session) error {
	_, err := fmt.Fprint(s.Out, scripts[c.Shell])
	return err
}

// completeCommand prints the words that can follow in a command line. The scripts of
// completion call it.
type completeCommand struct {
	Words []string `arg:"" optional:"" help:"After --, the words up to the one that is typed."`
}

// Run prints the words, one a line.
func (c completeCommand) Run(k *kong.Context, s *session) error {
	node, last := k.Model.Node, ""
	if len(c.Words) > 0 {
		last = c.Words[len(c.Words)-1]
		for _, word := range c.Words[:len(c.Words)-1] {
			if at := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word }); at >= 0 {
				node = node.Children[at]
			}
		}
	}
	for _, word := range following(k, node) {
		if strings.HasPrefix(word, last) {
			fmt.Fprintln(s.Out, word)
		}
	}
	return nil
}

// following returns the subcommands of a node; where there are none, its flags.
func following(k *kong.Context, node *kong.Node) (words []string) {
	for _, child := range node.Children {
		if !child.Hidden {
			words = append(words, child.Name)
		}
	}
	if len(words) > 0 {
		return words
	}
	for _, flags := range node.AllFlags(true) {
		for _, flag := range flags {
			if flag == k.Model.HelpFlag || !isGlobal(k, flag) || uses(node, flag) {
				words = append(words, "--"+flag.Name)
			}
		}
	}
	return words
}
