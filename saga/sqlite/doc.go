// Package sqlite is a home for sagas.
package sqlite
