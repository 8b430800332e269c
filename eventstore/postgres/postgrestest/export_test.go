package postgrestest

// HideInstalled has nothing be found in the folders where systems install
// PostgreSQL. What is on the PATH is found.
func HideInstalled() { installed = nil }
