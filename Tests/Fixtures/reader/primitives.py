"""Encodings, digests and seals of format 1."""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SEGMENT, SEGMENT_PLAIN = 65536, 65520
ULID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class Damaged(Exception):
    """Bytes are not what the format says."""


def require(condition, what):
    if not condition:
        raise Damaged(what)


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.digest(key, data, "sha256")


def hkdf(key, salt, info, length=32):
    return HKDF(hashes.SHA256(), length, salt or None, info).derive(key)


def open_box(key, aad, sealed, nonce=bytes(12)):
    require(len(sealed) >= 16, "a sealed message is short")
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Damaged("a tag does not fit") from None


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def ulid(text):
    require(len(text) == 26 and all(letter in ULID_LETTERS for letter in text), "no ULID")
    number = 0
    for letter in text:
        number = number << 5 | ULID_LETTERS.index(letter)
    require(number < 1 << 128, "no ULID")
    return number.to_bytes(16, "big")


def ulid_text(raw):
    number = int.from_bytes(raw, "big")
    return "".join(ULID_LETTERS[number >> 5 * place & 31] for place in reversed(range(26)))


class Reader:
    """Walks over bytes; everything short or silly is Damaged."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def raw(self, count):
        require(self.left() >= count, "it ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.raw(struct.calcsize("<" + code)))[0]

    def u8(self):
        return self.number("B")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def i64(self):
        return self.number("q")

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            require(value < 1 << 64 and shift <= 63, "a number is too large")
            if byte < 128:
                require(byte or not shift, "a number is not canonical")
                return value
            shift += 7

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def count(self, each, limit):
        value = self.varint()
        require(value <= limit and value * each <= self.left(), "a count is over its limit")
        return value

    def bytes(self, limit):
        return self.raw(self.count(1, limit))

    def text(self, limit):
        try:
            return self.bytes(limit).decode()
        except UnicodeDecodeError:
            raise Damaged("a text is not UTF-8") from None

    def list(self, each, limit, item):
        return [item() for _ in range(self.count(each, limit))]

    def fields(self, limit):
        found, last = {}, -1
        for _ in range(self.count(2, 1024)):
            number = self.varint()
            require(number > last, "fields are out of order")
            found[number], last = self.bytes(limit), number
        return found

    def zeros(self):
        require(not any(self.raw(self.left())), "padding is not zero")

    def end(self):
        require(not self.left(), "bytes are left over")

    def header(self, *kinds):
        require(self.raw(8) == b"HOLDFAST", "no holdfast object")
        kind, version = self.u8(), self.u8()
        require(kind in kinds, f"the kind is {kind}")
        require(self.raw(2) == bytes(2), "reserved bytes are not zero")
        features = self.u32()
        require(version == 1 and features == 0, "the object is of a later version")
        return kind


def signed_frame(data):
    require(len(data) >= 112, "it is short")
    require(sha256(data[:-32]) == data[-32:], "the digest does not fit")
    return data[:-96], data[-96:-32]


def verify(body, signature, key):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, body)
    except InvalidSignature:
        raise Damaged("the signature does not fit") from None


class Pair:
    """An X25519 pair."""

    def __init__(self, private):
        self.key = X25519PrivateKey.from_private_bytes(private)
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def shared(self, other):
        # The library refuses an all-zero result by itself.
        return self.key.exchange(X25519PublicKey.from_public_bytes(other))


def open_stream(stored, key, digest, stream):
    count = -(-len(stored) // SEGMENT)
    require(count > 0, "a stream is empty")
    plain = len(stored) - 16 * count
    require(plain >= 0 and max(1, -(-plain // SEGMENT_PLAIN)) == count, "no stream has this length")
    return b"".join(
        open_segment(stored[i * SEGMENT : (i + 1) * SEGMENT], key, digest, stream, i, i == count - 1)
        for i in range(count))


def open_segment(stored, key, digest, stream, number, last):
    return open_box(key, digest + bytes([stream, last]), stored, bytes(4) + number.to_bytes(8, "big"))


def open_envelope(envelope, pairs, salt, repository, kind, epoch):
    ephemeral = envelope[:32]
    for pair in pairs:
        hint = sha256(pair.public)[:8][::-1]
        for i in range(4):
            place = envelope[32 + 56 * i : 88 + 56 * i]
            if place[:8] == hint and any(place):
                info = b"envelope" + repository + struct.pack("<BI", kind, epoch) + ephemeral + pair.public
                return open_box(hkdf(pair.shared(ephemeral), salt, info), b"", place[8:])
    raise Damaged("this key may not read it")
