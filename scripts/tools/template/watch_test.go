package template_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// namespace is that of the stack's metrics. Under one that another stack shares, the
// alarms of both would be about the sum.
const namespace = "tokenvend/${AWS::StackName}"

// published returns the metrics that exist.
func published(t *testing.T, parsed Template) map[string]bool {
	t.Helper()
	directives := code(t).Texts(module+"pkg/audit", "directive")
	all, err := parsed.Published(namespace, directives)
	if err != nil || len(directives) == 0 {
		t.Fatalf("%d metric directives in pkg/audit, %v", len(directives), err)
	}
	return all
}

// watched are the metrics that need an alarm.
var watched = []string{
	namespace + " Faults{action}", namespace + " RenewalsFailed{action}", namespace + " Requests{action,outcome}", namespace + " GrantsExpiringIn7Days{}",
	namespace + " GrantsExpiringIn1Day{}", namespace + " RefreshTokensUnsaved{}", namespace + " TokensUnstored{}",
	namespace + " GrantsUnreadable{}", namespace + " ThrottledRequests{}",
	"AWS/SQS ApproximateNumberOfMessagesVisible{QueueName}", "AWS/Lambda Errors{FunctionName}", "AWS/Lambda Throttles{FunctionName}",
	"AWS/DynamoDB WriteThrottleEvents{TableName}",
}

// alarmProblems: every alarm is about a published metric, has a description, an
// action and TreatMissingData.
func alarmProblems(t *testing.T, parsed Template) (found []string) {
	t.Helper()
	alarms, err := parsed.Alarms()
	if err != nil {
		return []string{"AZ-57 " + err.Error()}
	}
	exists, about := published(t, parsed), map[string]bool{}
	for name, a := range alarms {
		for _, m := range a.Measures() {
			if about[m] = true; !exists[m] && !strings.HasPrefix(m, "AWS/") {
				found = append(found, fmt.Sprintf("AZ-57 alarm %s is about %s, which is not published", name, m))
			}
		}
		if a.Description == "" || a.TreatMissingData == "" || Show(a.AlarmActions) != "!If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]" {
			found = append(found, "AZ-57 alarm "+name+" has no action, description or TreatMissingData")
		}
	}
	for _, w := range watched {
		if !about[w] {
			found = append(found, "AZ-57 there is no alarm about "+w)
		}
	}
	return found
}

// basic are the alarms that wake people. With Monitoring basic they alone exist, and
// functions publish basicMetrics only.
var basic = []string{
	"ConsentNeeded", "FunctionErrors", "GrantsAtRisk", "GrantsExpiring", "RefreshTokenUnsaved", "RenewalStopped", "RenewalsFailing", "TokensUnstored", "VendFaults",
}

// basicMetrics are published with Monitoring basic; a test of pkg/audit has the same.
var basicMetrics = []string{
	"Faults{action}", "Requests{action,outcome}", "RenewalsDue{action}", "RenewalsFailed{action}", "GrantsExpiringIn7Days{}", "GrantsExpiringIn1Day{}",
	"RefreshTokensUnsaved{}", "RefreshesAmbiguous{}", "GrantsUnreadable{}", "TokensUnstored{}",
}

// monitoringProblems: each alarm exists where its metrics are published.
func monitoringProblems(parsed Template) (found []string) {
	alarms, err := parsed.Alarms()
	if err != nil {
		return []string{"AZ-57 " + err.Error()}
	}
	for name, r := range parsed.Resources {
		condition := ""
		switch _, alarm := alarms[name]; {
		case slices.Contains(basic, name):
			condition = "Monitors"
		case alarm, name == "Dashboard", name == "ThrottledRequests":
			condition = "MonitorsFully"
		}
		if isOurs := condition != "" || strings.HasPrefix(r.Condition, "Monitors"); isOurs && r.Condition != condition {
			found = append(found, fmt.Sprintf("AZ-57 %s exists if %q, want %q", name, r.Condition, condition))
		}
	}
	for _, name := range basic {
		for _, m := range alarms[name].Measures() {
			if metric, own := strings.CutPrefix(m, namespace+" "); own && !slices.Contains(basicMetrics, metric) {
				found = append(found, fmt.Sprintf("AZ-57 alarm %s is about %s, which is not published with Monitoring basic", name, m))
			}
		}
	}
	return found
}

// dashboardProblems: the dashboard shows every alarm, and metrics that exist.
func dashboardProblems(t *testing.T, parsed Template) (found []string) {
	t.Helper()
	measures, references, err := parsed.Shown()
	if err != nil {
		return []string{"AZ-57 " + err.Error()}
	}
	exists := published(t, parsed)
	for _, m := range measures {
		if !exists[m] && !strings.HasPrefix(m, "AWS/") {
			found = append(found, "AZ-57 the dashboard shows "+m+", which is not published")
		}
	}
	alarms, err := parsed.Alarms()
	if err != nil {
		return append(found, "AZ-57 "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(alarms)) {
		if !slices.Contains(references, "${"+name+".Arn}") {
			found = append(found, "AZ-57 the dashboard does not show the alarm "+name)
		}
	}
	return found
}

// TestDocumented checks that each alarm and each parameter is documented under its name.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "functions", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	alarms, err := parsed.Alarms()
	if err != nil || len(alarms) == 0 {
		t.Fatalf("%d alarms, %v", len(alarms), err)
	}
	for name := range alarms {
		if !strings.Contains(string(document), "\n- **"+name+"**: ") {
			t.Errorf("AZ-57 functions/README.md has no paragraph that begins with - **%s**:", name)
		}
	}
	for name := range parsed.Parameters {
		if !strings.Contains(string(document), "`"+name+"`") {
			t.Errorf("functions/README.md does not document the parameter %s", name)
		}
	}
}
