package provider

// ForgetEntries makes the next Lookup of each entry read it again.
func ForgetEntries() { entries.Clear() }
