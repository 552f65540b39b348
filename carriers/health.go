package carriers

// MetadataHealth is the key in the metadata of an account event under which an adapter says what the event means for the
// account, where its word (the event's Status) does not: ok, degraded or down. ok ends what was reported of the same field.
const MetadataHealth = "health"
