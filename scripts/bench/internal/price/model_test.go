package price_test

import "math"

// What a deployment does in the table: tokens live an hour, are renewed every
// 45 minutes around the clock, and are asked for ten times an hour.
const (
	hours   = 730.0 // in a month
	minutes = hours * 60
	gb      = 1e9

	requestsPerHour  = 10.0
	refreshesPerHour = 60.0 / 45
)

// What the table is used for; a test compares with a measured day.
const (
	// A renewal writes three times: the lease, the token, and the mark that the
	// new one is in use. Items have at most one kilobyte, and the index costs no
	// write. The renewer reads the item first.
	writesPerRefresh = 3
	readsPerRefresh  = 0.5
	// A vend from the table is one eventually consistent read.
	readsPerVend = 0.5
	// Every minute the renewer queries the due slots, and reads and writes its own
	// records.
	readsPerMinute  = 38
	writesPerMinute = 4
	itemBytes       = 700
	// A refresh reads the secret; a tick lists versions, a hundred to a page. Up to
	// a thousand secrets each tick lists all, beyond that all are listed in a
	// quarter of an hour.
	loadsPerRefresh = 1
	pageSize        = 100
	sweepAll        = 1000
	sweepTicks      = 15
)

// How long functions run, in seconds at 256 MB, with a share of cold starts and
// a provider that answers in 400 ms, 64 requests at a time.
const (
	memoryGB      = 0.25
	vendSeconds   = 0.015
	tickSeconds   = 0.2
	refreshWait   = 0.4
	renewAtOnce   = 64
	bundleMembers = 150
)

// What is written to logs, in bytes, and what watches; a test compares the audit
// line and the alarms.
const (
	auditLine     = 950 // with its metrics
	accessLine    = 500
	platformLines = 350 // Lambda's own START, END and REPORT
	answerBytes   = 1200
	keysets       = 2
)

// monitoring is what watches with a value of the parameter Monitoring; a test compares
// the alarms and the dashboard.
type monitoring struct {
	// custom are combinations of metric and dimensions that occur every day.
	custom, alarms, dashboards float64
}

var (
	full  = monitoring{custom: 60, alarms: 24, dashboards: 1}
	basic = monitoring{custom: 3, alarms: 15} // faults of vending, renewals that are due and that failed
	none  = monitoring{}
)

func (m monitoring) month() float64 {
	return m.custom*metricMonth + m.alarms*alarmMetric + m.dashboards*dashboard
}

// List prices in dollars of the region us-east-1, as published in 2025, without
// free tiers, discounts and taxes. Each names its page under
// https://aws.amazon.com.
const (
	// /api-gateway/pricing: REST APIs, by the requests of a month.
	apiFirst, apiFirstUpTo = 3.50 / 1e6, 333e6
	apiNext, apiNextUpTo   = 2.80 / 1e6, 1000e6
	apiRest                = 2.38 / 1e6

	// /lambda/pricing: arm64, first tier.
	lambdaRequest  = 0.20 / 1e6
	lambdaGBSecond = 0.0000133334

	// /dynamodb/pricing/on-demand: standard class; storage with point-in-time recovery.
	readUnit  = 0.125 / 1e6
	writeUnit = 0.625 / 1e6
	storedGB  = 0.25 + 0.20

	// /secrets-manager/pricing.
	secretMonth = 0.40
	secretCall  = 0.05 / 10e3

	// /cloudwatch/pricing: logs, custom metrics of the first tier, alarms of
	// standard resolution by the metric, dashboards.
	logGB       = 0.50
	metricMonth = 0.30
	alarmMetric = 0.10
	dashboard   = 3.00

	// /ec2/pricing/on-demand: to the internet, first tier.
	transferGB = 0.09
)

// bill is a month, in dollars.
type bill struct{ api, functions, table, calls, secrets, logs, watch, transfer float64 }

func (b bill) together() float64 {
	return b.api + b.functions + b.table + b.calls + b.secrets + b.logs + b.watch + b.transfer
}

// watched returns the bill with other monitoring.
func (b bill) watched(m monitoring) bill {
	b.watch = m.month()
	return b
}

// month computes the bill of so many connections, with so many of them in a secret, and
// full monitoring.
func month(connections, members float64) bill {
	requests := connections * requestsPerHour * hours
	refreshes := connections * refreshesPerHour * hours
	secrets := math.Ceil(connections / members)
	return bill{
		api:       gateway(requests),
		functions: functions(requests, refreshes),
		table: (requests*readsPerVend+refreshes*readsPerRefresh+minutes*readsPerMinute)*readUnit +
			(refreshes*writesPerRefresh+minutes*writesPerMinute)*writeUnit + connections*itemBytes/gb*storedGB,
		calls:    (refreshes*loadsPerRefresh + minutes*pages(secrets)) * secretCall,
		secrets:  (secrets + keysets) * secretMonth,
		logs:     (requests*(auditLine+accessLine+platformLines) + refreshes*auditLine + minutes*(auditLine+platformLines)) / gb * logGB,
		watch:    full.month(),
		transfer: requests * answerBytes / gb * transferGB,
	}
}

// gateway prices requests by their tiers.
func gateway(requests float64) float64 {
	first := min(requests, apiFirstUpTo)
	next := min(requests, apiNextUpTo) - first
	return first*apiFirst + next*apiNext + (requests-first-next)*apiRest
}

func functions(requests, refreshes float64) float64 {
	seconds := requests*vendSeconds + minutes*tickSeconds + refreshes*refreshWait/renewAtOnce
	return (requests+minutes)*lambdaRequest + seconds*memoryGB*lambdaGBSecond
}

// pages is how many pages of secrets one tick lists.
func pages(secrets float64) float64 {
	all := max(math.Ceil(secrets/pageSize), 1)
	if secrets > sweepAll {
		return math.Ceil(all / sweepTicks)
	}
	return all
}
