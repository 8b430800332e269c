package postgres

// DueSQL is the statement of Due, for looking at its plan.
const DueSQL = dueSQL
