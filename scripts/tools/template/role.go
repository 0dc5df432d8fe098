package template

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Statement is one statement of a policy.
type Statement struct {
	// When is the stack's condition under which it is there at all.
	When      string
	Effect    string    `yaml:"Effect"`
	Principal yaml.Node `yaml:"Principal"`
	Action    yaml.Node `yaml:"Action"`
	Resource  yaml.Node `yaml:"Resource"`
	Condition yaml.Node `yaml:"Condition"`
}

// Resources are what it is about.
func (s Statement) Resources() []string { return words(s.Resource) }

// lines are what it says, each "action on resource" with what it depends on. One
// that does not allow is shown with its effect.
func (s Statement) lines() (all []string) {
	depends := ""
	if !s.Condition.IsZero() {
		depends = " if " + Show(s.Condition)
	}
	if s.When != "" {
		depends += " when " + s.When
	}
	for _, action := range words(s.Action) {
		for _, resource := range words(s.Resource) {
			all = append(all, strings.TrimPrefix(s.Effect+" ", "Allow ")+action+" on "+resource+depends)
		}
	}
	return all
}

// statements reads statements, those too that a condition of the stack's brings.
func statements(nodes []yaml.Node) ([]Statement, error) {
	var all []Statement
	for _, n := range nodes {
		when := ""
		if n.Tag == "!If" {
			if len(n.Content) != 3 || Show(*n.Content[2]) != "!Ref AWS::NoValue" {
				return nil, fmt.Errorf("line %d: a statement depends on a condition that is not read here", n.Line)
			}
			when, n = n.Content[0].Value, *n.Content[1]
		}
		s := Statement{When: when}
		if err := n.Decode(&s); err != nil {
			return nil, fmt.Errorf("line %d: %w", n.Line, err)
		}
		all = append(all, s)
	}
	return all, nil
}

type document struct {
	Statement []yaml.Node `yaml:"Statement"`
}

// Permissions are what a function's role allows, sorted, and who may take it on.
// A function whose permissions stand anywhere else is an error.
func (t Template) Permissions(f Function) (allowed, trusted []string, err error) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(Show(f.Role), "!GetAtt "), ".Arn")
	if !ok || t.Resources[name].Type != roleType || !f.Policies.IsZero() {
		return nil, nil, fmt.Errorf("%s has no role of the stack's, or policies beside it", f.CodeURI)
	}
	var role struct {
		AssumeRolePolicyDocument document  `yaml:"AssumeRolePolicyDocument"`
		ManagedPolicyArns        yaml.Node `yaml:"ManagedPolicyArns"`
		Policies                 []struct {
			PolicyDocument document `yaml:"PolicyDocument"`
		} `yaml:"Policies"`
	}
	properties := t.Resources[name].Properties
	if err := properties.Decode(&role); err != nil {
		return nil, nil, fmt.Errorf("role %s: %w", name, err)
	}
	trust, err := statements(role.AssumeRolePolicyDocument.Statement)
	if err != nil {
		return nil, nil, fmt.Errorf("role %s: %w", name, err)
	}
	for _, s := range trust {
		trusted = append(trusted, Show(s.Principal))
	}
	for _, policy := range role.Policies {
		said, err := statements(policy.PolicyDocument.Statement)
		if err != nil {
			return nil, nil, fmt.Errorf("role %s: %w", name, err)
		}
		for _, s := range said {
			allowed = append(allowed, s.lines()...)
		}
	}
	if !role.ManagedPolicyArns.IsZero() {
		allowed = append(allowed, "managed policies "+Show(role.ManagedPolicyArns))
	}
	slices.Sort(allowed)
	return allowed, trusted, nil
}
