package template_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Alarm is the part of an alarm that is compared.
type Alarm struct {
	Measure          `yaml:",inline"`
	Description      string    `yaml:"AlarmDescription"`
	TreatMissingData string    `yaml:"TreatMissingData"`
	AlarmActions     yaml.Node `yaml:"AlarmActions"`
	Metrics          []struct {
		MetricStat struct {
			Metric Measure `yaml:"Metric"`
		} `yaml:"MetricStat"`
	} `yaml:"Metrics"`
}

// Measure names one metric.
type Measure struct {
	Namespace  yaml.Node `yaml:"Namespace"`
	MetricName string    `yaml:"MetricName"`
	Dimensions []struct {
		Name string `yaml:"Name"`
	} `yaml:"Dimensions"`
}

// String is the metric's namespace and name with the names of its dimensions, in order.
func (m Measure) String() string {
	var names []string
	for _, d := range m.Dimensions {
		names = append(names, d.Name)
	}
	return strings.TrimPrefix(Show(m.Namespace), "!Sub ") + " " + Metric(m.MetricName, names)
}

// Metric writes a metric and its dimensions in the form that is compared.
func Metric(name string, dimensions []string) string {
	return name + "{" + strings.Join(slices.Sorted(slices.Values(dimensions)), ",") + "}"
}

// Measures are the metrics that the alarm is about, each after its namespace.
func (a Alarm) Measures() (all []string) {
	measures := []Measure{a.Measure}
	for _, m := range a.Metrics {
		measures = append(measures, m.MetricStat.Metric)
	}
	for _, m := range measures {
		if m.MetricName != "" {
			all = append(all, m.String())
		}
	}
	return all
}

// Alarms are the alarms by their names in the stack.
func (t Template) Alarms() (map[string]Alarm, error) {
	all := map[string]Alarm{}
	for name, r := range t.Resources {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		var a Alarm
		if err := r.Properties.Decode(&a); err != nil {
			return nil, fmt.Errorf("alarm %s: %w", name, err)
		}
		all[name] = a
	}
	return all, nil
}

// filtered are the metrics that are made from logs, each after its namespace.
func (t Template) filtered() (all []string) {
	for _, r := range t.Resources {
		var filter struct {
			MetricTransformations []struct {
				MetricNamespace yaml.Node `yaml:"MetricNamespace"`
				MetricName      string    `yaml:"MetricName"`
			} `yaml:"MetricTransformations"`
		}
		if r.Type != "AWS::Logs::MetricFilter" || r.Properties.Decode(&filter) != nil {
			continue
		}
		for _, m := range filter.MetricTransformations {
			all = append(all, Measure{Namespace: m.MetricNamespace, MetricName: m.MetricName}.String())
		}
	}
	return all
}

// Published are the metrics of the stack, each after its namespace: those of the code's
// directives, in CloudWatch's embedded metric format, to which the code adds the
// namespace, and those that the stack makes from logs.
func (t Template) Published(namespace string, directives []string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, m := range t.filtered() {
		all[m] = true
	}
	for _, text := range directives {
		var d struct {
			Dimensions [][]string
			Metrics    []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return nil, fmt.Errorf("a metric directive: %w", err)
		}
		for _, dimensions := range d.Dimensions {
			for _, m := range d.Metrics {
				all[namespace+" "+Metric(m.Name, dimensions)] = true
			}
		}
	}
	return all, nil
}

var (
	searched = regexp.MustCompile(`\{"([^"]+)",([\w,]+)\} MetricName="(\w+)"`)
	inserted = regexp.MustCompile(`\$\{[\w:.]+\}`)
)

// Shown returns the metrics on the dashboard, each after its namespace, and its
// references to the stack's resources.
func (t Template) Shown() (measures, references []string, err error) {
	var properties struct {
		DashboardBody string `yaml:"DashboardBody"`
	}
	r := t.Resources["Dashboard"]
	if err := r.Properties.Decode(&properties); err != nil {
		return nil, nil, fmt.Errorf("the dashboard: %w", err)
	}
	var body struct {
		Widgets []struct {
			Properties struct {
				Metrics [][]any `json:"metrics"`
			} `json:"properties"`
		} `json:"widgets"`
	}
	if err := json.Unmarshal([]byte(properties.DashboardBody), &body); err != nil {
		return nil, nil, fmt.Errorf("the dashboard: %w", err)
	}
	for _, w := range body.Widgets {
		for _, metric := range w.Properties.Metrics {
			measures = append(measures, shown(metric)...)
		}
	}
	return measures, inserted.FindAllString(properties.DashboardBody, -1), nil
}

// shown reads one metric of a widget: namespace, name, then dimensions and their
// values in turn; or a search.
func shown(metric []any) (all []string) {
	var words []string
	for _, part := range metric {
		switch part := part.(type) {
		case string:
			words = append(words, part)
		case map[string]any:
			expression, _ := part["expression"].(string)
			for _, found := range searched.FindAllStringSubmatch(expression, -1) {
				all = append(all, found[1]+" "+Metric(found[3], strings.Split(found[2], ",")))
			}
		}
	}
	if len(words) < 2 {
		return all
	}
	var dimensions []string
	for i := 2; i+1 < len(words); i += 2 {
		dimensions = append(dimensions, words[i])
	}
	return append(all, words[0]+" "+Metric(words[1], dimensions))
}
