package main

// List prices in dollars of the region us-east-1, as published in 2025, without
// free tiers, discounts and taxes. Each names the page it stands on, under
// https://aws.amazon.com.
const (
	// /api-gateway/pricing: REST APIs, by the requests of a month.
	apiFirst, apiFirstUpTo = 3.50 / 1e6, 333e6
	apiNext, apiNextUpTo   = 2.80 / 1e6, 1000e6
	apiRest                = 2.38 / 1e6

	// /lambda/pricing: arm64, first tier.
	lambdaRequest  = 0.20 / 1e6
	lambdaGBSecond = 0.0000133334

	// /dynamodb/pricing/on-demand: standard class.
	readUnit  = 0.125 / 1e6
	writeUnit = 0.625 / 1e6
	// storedGB is a GB of table with its point-in-time recovery.
	storedGB = 0.25 + 0.20

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
