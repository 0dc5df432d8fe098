package samcli

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

var (
	resourceLine = regexp.MustCompile(`^  (\w+):\s*$`)
	codeLine     = regexp.MustCompile(`^\s+CodeUri: functions/(\w+)/?\s*$`)
)

// LogicalNames are the names of a template's functions by the folders of their
// code below functions/.
func LogicalNames(template string) map[string]string {
	names := map[string]string{}
	var resource string
	for line := range strings.Lines(template) {
		line = strings.TrimRight(line, "\n")
		if found := resourceLine.FindStringSubmatch(line); found != nil {
			resource = found[1]
		}
		if found := codeLine.FindStringSubmatch(line); found != nil {
			names[found[1]] = resource
		}
	}
	return names
}

// undeclared are variables that a deployment never sets. SAM passes only
// variables on that the template declares.
var undeclared = []string{"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "PUBLIC_BASE_URL", "LOG_LEVEL"}

// WithEndpoints declares, for all functions of a built template, the variables
// that name engines in AWS's place. Their values, empty there, come from SAM's
// --env-vars.
func WithEndpoints(template string) (string, error) {
	lines := strings.SplitAfter(template, "\n")
	global := slices.Index(lines, "Globals:\n")
	if global < 0 {
		return "", errors.New("the built template has no Globals to declare endpoints in")
	}
	for i := global; i < len(lines); i++ {
		indent, isVariables := strings.CutSuffix(lines[i], "Variables:\n")
		if !isVariables || strings.TrimSpace(indent) != "" {
			continue
		}
		var added []string
		for _, name := range undeclared {
			if !declares(lines[i+1:], indent, name) {
				added = append(added, indent+"  "+name+": ''\n")
			}
		}
		return strings.Join(slices.Insert(lines, i+1, added...), ""), nil
	}
	return "", errors.New("the built template's Globals declare no variables")
}

// declares reports whether the block of that indent declares the variable.
func declares(lines []string, indent, name string) bool {
	for _, line := range lines {
		if !strings.HasPrefix(line, indent+" ") {
			return false
		}
		if strings.HasPrefix(strings.TrimSpace(line), name+":") {
			return true
		}
	}
	return false
}
