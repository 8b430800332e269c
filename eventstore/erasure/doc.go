// Package erasure makes events erasable that are never deleted. The payload of an
// event about somebody is encrypted with a key that is that person's alone; to
// delete the key is to erase every copy of all of them at once, in streams, in
// snapshots, on replicas and in backups. The events stay, with their places and
// their metadata, and readers get them redacted.
//
// It goes around any event store, and is one:
//
//	db, err := sqlite.Open(ctx, "events.db", sqlite.Config{})
//	…
//	store, err := erasure.New(db, db, erasure.Config{})
//	…
//	_, err = store.Append(ctx, eventstore.Write{
//		Stream: "customer-7", Expected: eventstore.Any,
//		Events: []eventstore.Event{{
//			Type: "customer.moved", Data: address,
//			Meta: eventstore.Meta{Subject: "customer-7"}, // whom the payload is about
//		}},
//	})
//	…
//	err = store.Erase(ctx, "customer-7")
//
// # Events
//
// An event with Meta.Subject is encrypted when it is appended and decrypted when
// it is read, by whatever method. After [Store.Erase] it is read with Redacted set
// and Data nil, and no error: a Registry decodes it to the zero value of its type,
// and whoever folds events has to live with that. Events without a subject pass
// through untouched. To append about an erased subject is eventstore.ErrErased.
//
// An event has one subject. One that is about two people is better two events, or
// carries only what either may be asked to erase.
//
// A payload that cannot be decrypted although its key is there is a
// *eventstore.DataError: it was changed, or put in the place of another, for a
// payload is bound to tenant, stream, type, schema, subject and id of its event.
//
// What is not encrypted is all the rest: names of streams, types, labels, actors,
// subjects, and claims with their results. Do not put there what may have to be
// erased; a subject is best a number that says nothing by itself.
//
// # Snapshots
//
// A snapshot names its Subjects. It is encrypted with a key that is derived from
// those of all of them, so that it is gone when any one is erased: it is not
// found, and the state is folded from the events, which are redacted as they have
// to be. A snapshot without subjects passes through. Who loads an encrypted one from
// the inner store gets what is stored; a host of package aggregate drops it, and says
// of the events that they are encrypted.
//
// # Read models
//
// What others have made of events is theirs to erase; this package cannot know of
// it. With Config.Announce, Erase appends an event after the key is gone, and a
// read model that handles it deletes or blanks what it has of the subject, at its
// place in the order of all events:
//
//	erasure.Config{Announce: func(subject string) (eventstore.Write, error) {
//		event, err := registry.Encode(SubjectErased{subject})
//		return eventstore.Write{Stream: "erasures-" + subject, Expected: eventstore.Any, Events: []eventstore.Event{event}}, err
//	}}
//
// One that is built anew needs nothing of the kind: it reads redacted events. The
// same holds for what was published to other systems: they learn of the erasure by
// the announcement, and it is theirs.
//
// # Keys
//
// Keys come from a [eventstore.Keys], made on first use. The homes of this module
// are one, with the keys in a table of their own beside the events: the simplest
// that works, and good against those who see a dump of the events alone. It has a
// price: a backup of the database has the keys too, and to erase means to let the
// backups run out as well. A key service elsewhere, whose backups are kept for
// days and not for years, or a key management service that wraps the keys, needs
// three methods.
//
// A key that was loaded is kept for Config.KeyTTL, a minute by default, and
// dropped by Erase in this process at once. So another process may go on reading,
// and appending about, an erased subject until then. Appended data are lost to
// everybody in that case, as the key is. Who reads the announcement of an erasure
// with this package drops the key too, so that a read model never sees after it
// what it should not. A negative KeyTTL closes the window, for a call of the key
// service per event.
//
// What was read before is out of reach: in the memory of aggregates, in logs. The
// states that are in memory are reloaded when they are passivated, or with a
// restart.
//
// # Encryption
//
// AES-256-GCM of the standard library with a random nonce for each payload. The
// key of a subject may encrypt 2^32 payloads before nonces are to be expected
// twice (NIST SP 800-38D, 8.3). A payload grows by 32 bytes, a snapshot by 64. A
// header with a version lets the form change.
//
// Events from before can be read with Config.AcceptPlaintext. To have them
// encrypted, copy the store.
//
// # Transactions
//
// Variants of Append that a home has besides the contract, such as one in the
// caller's transaction, know nothing of encryption: give them what [Store.Seal]
// returns, and what they return to [Store.Open]. Seal before the transaction
// begins: a key may have to be made, which in a database with one writer would
// wait for the transaction that waits for it.
//
// # Concurrency
//
// A Store may be used by any goroutine, and has none of its own. It adds no lock
// that is held while anything is waited for. Events are decrypted one by one as
// they are asked for, on the goroutine that ranges over them: an event that a
// subscription yields after Erase has returned is redacted, even if it was
// committed, or read by the home, before.
//
// # Sources
//
// Crypto-shredding, to destroy data by destroying their key, is described in NIST
// SP 800-88 ("cryptographic erase"), and known in event sourcing as the answer to
// the right to erasure (GDPR, article 17) for logs that only grow. Keys for
// several subjects are HKDF (RFC 5869) of all of theirs.
package erasure
