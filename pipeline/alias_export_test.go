package pipeline

// Variant lets the table of numbers be tested by itself.
var Variant = variant
