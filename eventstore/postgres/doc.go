// Package postgres keeps events in a PostgreSQL database, version 13 or later,
// through pgx.
package postgres
