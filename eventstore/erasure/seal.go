package erasure

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/seed57833328/rondo/eventstore"
)

// Encrypted data begin with a header: three bytes that no text begins with, and
// the version of the form. Form 1 of an event is what AES-256-GCM makes of the
// payload with the subject's key: a random nonce of 12 bytes, the ciphertext, and
// a tag of 16 bytes. Form 1 of a snapshot is a salt of 32 bytes and then the same,
// with a key that is derived from those of all subjects. What data belong to is
// authenticated with them, so that they cannot be put elsewhere.
var header = []byte{0xff, 'c', 's', 1}

const (
	saltSize = 32
	gcmSize  = 12 + 16 // nonce and tag
)

var (
	errPlaintext = errors.New("the payload of a subject is not encrypted")
	errForm      = errors.New("encrypted in a form that this program does not know")
	errOpen      = errors.New("it cannot be decrypted: its payload, or what it belongs to, was changed")
)

// body returns what follows the header. Data without a header are plain, if that is
// accepted. An error is errPlaintext or errForm.
func body(data []byte, acceptPlain bool) (sealed []byte, plain bool, err error) {
	last := len(header) - 1
	switch {
	case bytes.HasPrefix(data, header):
		return data[len(header):], false, nil
	case bytes.HasPrefix(data, header[:last]):
		return nil, false, errForm
	case acceptPlain:
		return nil, true, nil
	}
	return nil, false, errPlaintext
}

// seal encrypts a payload with a subject's key.
func (k *key) seal(plain, belongs []byte) []byte {
	data := make([]byte, 0, len(header)+gcmSize+len(plain))
	return k.aead.Seal(append(data, header...), nil, plain, belongs)
}

// open decrypts what follows the header. The error is errOpen.
func (k *key) open(body, belongs []byte) ([]byte, error) {
	plain, err := k.aead.Open(nil, nil, body, belongs)
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

// ofEvent is what the payload of an event belongs to, put into a buffer.
func ofEvent(buf []byte, tenant, stream string, e *eventstore.Event) []byte {
	buf = append(buf[:0], 'E')
	for _, s := range [...]string{tenant, stream, e.Type, e.Meta.Subject} {
		buf = appendString(buf, s)
	}
	buf = binary.AppendUvarint(buf, uint64(max(e.Schema, 1))) //nolint:gosec // it is not negative
	return append(buf, e.ID[:]...)
}

// ofSnapshot is what a snapshot belongs to.
func ofSnapshot(tenant string, s *eventstore.Snapshot) []byte {
	buf := []byte{'S'}
	for _, s := range [...]string{tenant, s.Stream, s.Type} {
		buf = appendString(buf, s)
	}
	buf = binary.AppendUvarint(buf, uint64(max(s.Schema, 1)))   //nolint:gosec // it is not negative
	return binary.AppendUvarint(buf, uint64(max(s.Version, 0))) //nolint:gosec // it is not negative
}

func appendString(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// sealTogether encrypts with a key that nobody can derive who lacks the key of
// one of the subjects: HKDF (RFC 5869) of all their keys and a random salt.
func sealTogether(keys [][]byte, names []string, plain, belongs []byte) ([]byte, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never returns an error
	k, err := together(keys, names, salt)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, len(header)+saltSize+gcmSize+len(plain))
	data = append(append(data, header...), salt...)
	return k.aead.Seal(data, nil, plain, belongs), nil
}

// openTogether decrypts what follows the header.
func openTogether(keys [][]byte, names []string, body, belongs []byte) ([]byte, error) {
	if len(body) < saltSize {
		return nil, errOpen
	}
	k, err := together(keys, names, body[:saltSize])
	if err != nil {
		return nil, err
	}
	return k.open(body[saltSize:], belongs)
}

func together(keys [][]byte, names []string, salt []byte) (*key, error) {
	info := []byte("rondo erasure snapshot 1")
	for _, name := range names {
		info = appendString(info, name)
	}
	b, err := hkdf.Key(sha256.New, slices.Concat(keys...), salt, string(info), keySize)
	if err != nil {
		return nil, err
	}
	return newKey(b)
}
