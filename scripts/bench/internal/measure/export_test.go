package measure

// What the tests of this package see of it.
var (
	CheckVended      = checkVended
	MostlyFromMemory = mostlyFromMemory
	ReadTable        = readTable
	ReadGreeting     = readGreeting
	ZippedSize       = zippedSize
	BuildVariant     = buildVariant
)

// Edit is an edit for tests.
type Edit = edit

// NewEdit is an edit that replaces from in file.
func NewEdit(file, from, to string) Edit { return edit{file: file, from: from, to: to} }
