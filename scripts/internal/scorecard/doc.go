// Package scorecard compares what was measured with what was aimed at, and
// prints the result: aim, measured, pass or miss.
//
// Speed is judged as a ratio to a baseline of the same run on the same machine,
// because ratios transfer to other machines and milliseconds do not; both
// absolute figures are shown behind each ratio. A miss is a result and is shown;
// only what could not be measured is an error.
package scorecard
