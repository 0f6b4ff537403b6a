"""What snapshots of format 1 say of the secrets that open them, and whether a value is the one that logged in."""

from evidence import fields_of, optional, parts, text
from primitives import Reader, hkdf, mac, open_envelope, require
from repository import DATA_PRIVATE

OPENINGS = 17


def prefixed(value):
    """`text`: a varint length, then the bytes."""
    data, length, head = value.encode(), len(value.encode()), b""
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return head + bytes([length]) + data


def openings(repository, snapshot, value):
    """Each opening of a snapshot; of each version, whether `value`, a text, is the one that logged in."""
    data = repository.openings_of[snapshot]
    if data is None:
        return []
    fields = fields_of(data)
    salt, epoch, envelope = Reader(fields[1]).raw(32), Reader(fields[2]).u32(), Reader(fields[3]).raw(256)
    pairs = repository.opening_pairs(DATA_PRIVATE, epoch)
    seed = open_envelope(envelope, pairs, salt, repository.id, OPENINGS, epoch)
    key = hkdf(seed, salt, b"opening")
    found = []
    for opening in parts(fields[4], 1024):
        vault, secret = text(opening, 1), text(opening, 3)
        versions = []
        for version in parts(opening[7], 16):
            name = text(version, 1)
            message = prefixed(vault) + prefixed(secret) + prefixed(name) + b"\1" + value
            first, last = Reader(version[3]).i64(), Reader(version[4]).i64()
            require(first <= last, "a version was last seen before it was first seen")
            versions.append({
                "id": name, "created": optional(version, 2, lambda r: r.i64()), "first": first, "last": last,
                "isValue": mac(key, message) == Reader(version[5]).raw(32)})
        found.append({
            "vault": vault, "source": text(opening, 2), "secret": secret, "field": optional(opening, 4, whole),
            "role": text(opening, 5), "database": text(opening, 6), "versions": versions,
            "failure": optional(opening, 8, whole)})
    return found


def whole(reader):
    return reader.text(64 << 10)
