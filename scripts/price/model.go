package main

import "math"

// What happens, as the table's reader is told.
const assumptions = `Tokens live an hour, are renewed every 45 minutes around the clock, and are asked for ten times an hour and connection (seven or eight
callers that come back at ` + "`refresh_in`" + `). List prices of us-east-1 as published in 2025, without free tiers.`

const (
	hours   = 730.0 // in a month
	minutes = hours * 60
	gb      = 1e9

	requestsPerHour  = 10.0
	refreshesPerHour = 60.0 / 45
)

// What the table is used for, measured by the simulation: a test compares.
const (
	// A renewal writes three times: the lease, the token, and the mark that the
	// new one is in use. Items have at most one kilobyte, and the index costs no
	// write. The renewer reads the item first.
	writesPerRefresh = 3
	readsPerRefresh  = 0.5
	// A vend from the table is one eventually consistent read.
	readsPerVend = 0.5
	// Every minute each slot whose turn it is, and the renewer's notes.
	readsPerMinute  = 38
	writesPerMinute = 4
	itemBytes       = 700
	// A refresh reads the secret; a tick lists versions, a hundred to a page. All
	// are listed by every tick up to a thousand, and in a quarter of an hour beyond.
	loadsPerRefresh = 1
	pageSize        = 100
	sweepAll        = 1000
	sweepTicks      = 15
)

// What functions take, in seconds of 256 MB: a share of cold starts included; a
// provider that answers in 400 ms, 64 of them at a time.
const (
	memoryGB      = 0.25
	vendSeconds   = 0.015
	tickSeconds   = 0.2
	refreshWait   = 0.4
	renewAtOnce   = 64
	bundleMembers = 150
)

// What is written to logs, in bytes, and what watches: a test compares the audit
// line and the alarms.
const (
	auditLine     = 950 // with its metrics
	accessLine    = 500
	platformLines = 350 // Lambda's own START, END and REPORT
	answerBytes   = 1200
	// customMetrics are combinations of name and dimensions that occur every day.
	customMetrics = 60
	alarmMetrics  = 23
	keysets       = 2
)

// bill is a month, in dollars.
type bill struct{ api, functions, table, calls, secrets, logs, watch, transfer float64 }

func (b bill) together() float64 {
	return b.api + b.functions + b.table + b.calls + b.secrets + b.logs + b.watch + b.transfer
}

// bills are one deployment with its connections in bundles, and each in a secret
// of its own.
type bills struct{ bundled, apart bill }

// lines are the table's, in order.
var lines = []struct {
	name string
	of   func(bills) float64
}{
	{"API Gateway", func(b bills) float64 { return b.bundled.api }},
	{"Lambda", func(b bills) float64 { return b.bundled.functions }},
	{"DynamoDB", func(b bills) float64 { return b.bundled.table }},
	{"Secrets Manager, calls", func(b bills) float64 { return b.bundled.calls }},
	{"Secrets Manager, bundles of 150", func(b bills) float64 { return b.bundled.secrets }},
	{"CloudWatch, logs", func(b bills) float64 { return b.bundled.logs }},
	{"CloudWatch, metrics, alarms, dashboard", func(b bills) float64 { return b.bundled.watch }},
	{"answers to callers outside AWS", func(b bills) float64 { return b.bundled.transfer }},
	{"**together**", func(b bills) float64 { return b.bundled.together() }},
	{"with a secret for each connection instead", func(b bills) float64 { return b.apart.together() }},
}

// month works out the bill of so many connections, so many of them in a secret.
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
		watch:    customMetrics*metricMonth + alarmMetrics*alarmMetric + dashboard,
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

// pages is how many of them one tick lists.
func pages(secrets float64) float64 {
	all := max(math.Ceil(secrets/pageSize), 1)
	if secrets > sweepAll {
		return math.Ceil(all / sweepTicks)
	}
	return all
}
