package postgres

// Config is what may be said about a home. The zero value works.
type Config struct {
	// AutoMigrate has Open and New bring the database's schema up to what they
	// know, see [Migrate]. The default is that a database which is not is a
	// *[SchemaVersionError].
	AutoMigrate bool
	// Hooks are told what happens.
	Hooks Hooks
}

// Hooks are told what happens in a home. Any may be nil. They must be quick, and
// may be called from several goroutines at once.
type Hooks struct {
	// Retrying is called when something that a home does by itself was not
	// possible and is tried again: listening, notifying. doing says what.
	Retrying func(doing string, err error)
}

func (c Config) withDefaults() Config {
	if c.Hooks.Retrying == nil {
		c.Hooks.Retrying = func(string, error) {}
	}
	return c
}
