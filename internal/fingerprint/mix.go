package fingerprint

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The secrets of wyhash, https://github.com/wangyi-fudan/wyhash (public domain):
// odd numbers whose bytes have four bits set each.
const (
	secret0 = 0x2d358dccaa6c78a5
	secret1 = 0x8bb84b93962eacc9
	secret2 = 0x4b33a62ed433d4a3
	secret3 = 0x4d5a2da51de1aa47
)

// What stands for values that have no content of their own.
const (
	nilMark   = secret2
	someMark  = secret3
	cycleMark = secret2 ^ secret3
	entryMark = secret0 ^ secret3
	textMark  = secret0 ^ secret2
)

// Mix combines h with x. The order matters: Mix(Mix(h, a), b) and
// Mix(Mix(h, b), a) differ. One bit of h or x changes each bit of the result
// with even chance, so that results may be added, masked or shifted.
func Mix(h, x uint64) uint64 {
	return finish(step(h, x))
}

// String hashes s.
func String(s string) uint64 {
	return finish(text(textMark, s))
}

// step is wyhash's mix, the folded product: faster than Mix, and good in a chain
// that finish ends.
func step(h, x uint64) uint64 {
	return fold(h^secret0, x^secret1)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// finish is the finalizer of SplitMix64 in David Stafford's variant 13,
// https://zimbry.blogspot.com/2011/09/better-bit-mixing-improving-on.html. It is
// a bijection. Sums of folded products are near to folded products of sums, so
// what is added up is finished first.
func finish(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}

// words continues h with n 64-bit words at p, two at a time.
func words(h uint64, p unsafe.Pointer, n int) uint64 {
	all := unsafe.Slice((*uint64)(p), n)
	for ; len(all) >= 2; all = all[2:] {
		h = fold(all[0]^secret1, all[1]^h)
	}
	if len(all) == 1 {
		h = step(h, all[0])
	}
	return h
}

// text continues h with the length and the bytes of s, as wyhash does.
func text(h uint64, s string) uint64 {
	return octets(h, unsafe.Slice(unsafe.StringData(s), len(s)))
}

func octets(h uint64, b []byte) uint64 {
	var x, y uint64
	n := len(b)
	switch {
	case n > 16:
		rest := b
		for len(rest) > 16 {
			h = fold(binary.LittleEndian.Uint64(rest)^secret1, binary.LittleEndian.Uint64(rest[8:])^h)
			rest = rest[16:]
		}
		last := b[n-16:]
		x, y = binary.LittleEndian.Uint64(last), binary.LittleEndian.Uint64(last[8:])
	case n >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x = uint64(b[0])<<16 | uint64(b[n>>1])<<8 | uint64(b[n-1])
	}
	return fold(secret1^uint64(n), fold(x^secret1, y^h))
}
