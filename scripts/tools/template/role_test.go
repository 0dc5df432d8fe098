package template_test

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Statement is one statement of a policy.
type Statement struct {
	// When is the stack's condition for the statement.
	When      string
	Effect    string    `yaml:"Effect"`
	Principal yaml.Node `yaml:"Principal"`
	Action    yaml.Node `yaml:"Action"`
	Resource  yaml.Node `yaml:"Resource"`
	Condition yaml.Node `yaml:"Condition"`
}

// Resources returns the statement's resources.
func (s Statement) Resources() []string { return words(s.Resource) }

// lines returns the statement as lines of "action on resource" with its conditions;
// a Deny shows its effect.
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

// statements reads statements, also conditional ones.
func statements(nodes []yaml.Node) ([]Statement, error) {
	var all []Statement
	for _, n := range nodes {
		when := ""
		if n.Tag == "!If" {
			if len(n.Content) != 3 || Show(*n.Content[2]) != "!Ref AWS::NoValue" {
				return nil, fmt.Errorf("line %d: a statement has a condition of an unknown form", n.Line)
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

// Permissions returns what a function's role allows, sorted, and who may assume it.
// Permissions anywhere else are an error.
func (t Template) Permissions(f Function) (allowed, trusted []string, err error) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(Show(f.Role), "!GetAtt "), ".Arn")
	if !ok || t.Resources[name].Type != roleType || !f.Policies.IsZero() {
		return nil, nil, fmt.Errorf("%s has no role in the stack, or policies besides", f.CodeURI)
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
		parsed, err := statements(policy.PolicyDocument.Statement)
		if err != nil {
			return nil, nil, fmt.Errorf("role %s: %w", name, err)
		}
		for _, s := range parsed {
			allowed = append(allowed, s.lines()...)
		}
	}
	if !role.ManagedPolicyArns.IsZero() {
		allowed = append(allowed, "managed policies "+Show(role.ManagedPolicyArns))
	}
	slices.Sort(allowed)
	return allowed, trusted, nil
}
