package measure

// What the tests of this package see of it.
var (
	CheckVended      = checkVended
	MostlyFromMemory = mostlyFromMemory
	ReadTable        = readTable
	ReadGreeting     = readGreeting
	ZippedSize       = zippedSize
)
