package omni

// PlainForms is how many there are, letters included.
func PlainForms() int { return len(plainForms) + len(composed) }
