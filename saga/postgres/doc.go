// Package postgres is a home for sagas in a PostgreSQL database, through pgx, for
// any number of processes at once.
package postgres
