package ticket

import "fmt"

// Money is an amount in cents. Sums of whole cents are exact; floating point
// has no place here.
type Money int64

// Times is the price of n.
func (m Money) Times(n int) Money { return m * Money(n) }

// String writes dollars and cents, "$1,234.50".
func (m Money) String() string {
	sign := ""
	cents := uint64(m) //nolint:gosec // negative amounts are turned around below
	if m < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s$%s.%02d", sign, thousands(cents/100), cents%100)
}

func thousands(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
