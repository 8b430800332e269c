-- A saga that is worked on and has nothing due any more keeps its due time in the
-- row, as one that does not count: to take it out of the index sagas_due would be a
-- new entry in all indexes. A program of before this may go on beside newer ones: its
-- decisions have another sequence, for which the due time counts.

-- +goose Up

ALTER TABLE rondo.sagas ADD COLUMN undue bigint NOT NULL DEFAULT 0; -- the sequence for which due does not count

-- All sagas of a page may go on in one statement: there is room for a second version
-- of each.
ALTER TABLE rondo.sagas SET (fillfactor = 50);

-- +goose Down

UPDATE rondo.sagas SET due = NULL WHERE undue = sequence;
ALTER TABLE rondo.sagas DROP COLUMN undue;
ALTER TABLE rondo.sagas SET (fillfactor = 60);
