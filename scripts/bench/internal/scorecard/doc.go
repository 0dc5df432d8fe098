// Package scorecard compares what was measured with what was aimed at, and
// writes the result down for people: aim, measured, pass or miss.
//
// Speed is judged as a ratio to a baseline of the same run on the same machine,
// because ratios travel and milliseconds do not; the two absolute figures stand
// beside each ratio. A miss is a result like any other and is shown; only what
// could not be measured is an error.
package scorecard
