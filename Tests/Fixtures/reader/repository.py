"""Keys, snapshots, index, packs and chunks of a repository of format 1 in a directory."""

import hashlib
import os
import struct
import zlib

import zstandard

from manifests import read_entry
from primitives import (
    SEGMENT, SEGMENT_PLAIN, Damaged, Pair, Reader, crc32c, hkdf, mac, open_box, open_envelope, open_segment,
    open_stream, require, sha256, signed_frame, ulid, ulid_text, verify)

FORMAT, SLOT, GRANT, PACK, RUN, SNAPSHOT, TOMBSTONE = 1, 2, 3, 4, 5, 6, 7
EPOCH = 13
ADMIN, WRITER, MAINTAINER, RESTORER, REVOKED = 1, 2, 3, 4, 255
DATA_ID, META_ID, SOURCE_ID, INDEX, DATA_PRIVATE, STRUCTURE_PRIVATE = 1, 3, 5, 7, 8, 9
DATA_PUBLIC, STRUCTURE_PUBLIC = 10, 11
META_PACK = 5
CHUNK_LIMIT = 8 << 20


def read_format(data):
    """The number, the repository and the admin key of a format object, which is signed by that key."""
    body, signature = signed_frame(data)
    r = Reader(body)
    r.header(FORMAT)
    require(r.u32() == 1, "the repository is of another format")
    number, repository, admin = r.u32(), r.raw(16), r.raw(32)
    r.i64()
    require(r.u32() == 0, "reading needs features that are not known")
    r.u32(), r.u32(), r.text(64), r.fields(4096)
    r.end()
    verify(body, signature, admin)
    return number, repository, admin


class Roster:
    """Who holds or held a grant, as the admin's signature vouches."""

    def __init__(self, repository, admin):
        self.repository, self.admin = repository, admin
        self.members, self.issued = {}, {}

    def add(self, data):
        """Takes a grant up; says whether it rules, which a revocation and one that was issued before another do not."""
        body, signature = signed_frame(data)
        r = Reader(body)
        r.header(GRANT)
        grant = {
            "repository": r.raw(16), "slot": r.raw(16), "sealing": r.raw(32), "signing": r.raw(32), "epoch": r.u32(),
            "role": r.u8(), "rights": r.u32(), "issued": r.i64(), "label": r.text(256)}
        grant["sources"] = r.list(16, 4096, lambda: r.raw(16))
        grant["ephemeral"] = r.raw(32)
        grant["clear"], grant["sealed"] = body[: r.at], r.bytes(64 << 10)
        r.end()
        verify(body, signature, self.admin)
        slot, epoch = grant["slot"], grant["epoch"]
        require(
            grant["repository"] == self.repository and slot == sha256(grant["sealing"] + grant["signing"])[:16],
            "a grant is foreign")
        member = self.members.setdefault(slot, {"key": grant["signing"], "roles": {}, "rights": {}, "revoked": False})
        if grant["role"] == REVOKED:
            member["revoked"] = True
            return grant, False
        require(grant["role"] in (ADMIN, WRITER, MAINTAINER, RESTORER), "a role is unknown")
        if self.issued.get((slot, epoch), grant["issued"]) > grant["issued"]:
            return grant, False
        self.issued[slot, epoch] = grant["issued"]
        member["roles"][epoch] = (grant["role"], grant["sources"])
        member["rights"][epoch] = grant["rights"]
        return grant, True

    def signer(self, slot, allowed=lambda member: True):
        member = self.members.get(slot)
        require(member and member["roles"] and allowed(member), "the signer had no right to sign this")
        return member["key"]


class Repository:
    """An opened repository."""

    def __init__(self, root, password):
        self.root = root
        self.packs, self.opened = {}, {}
        # Newest links of evidence that snapshots name: slot, number, digest.
        self.heads = []
        # Field 20 of the records, by snapshot.
        self.openings_of = {}
        self.read_format()
        self.open_slot(password)
        self.read_epochs()
        self.read_grants()

    # Store

    def get(self, name):
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read()

    def names(self, folder):
        found = []
        for path, _, files in os.walk(os.path.join(self.root, folder)):
            for file in files:
                if not file.startswith("."):
                    found.append(os.path.relpath(os.path.join(path, file), self.root))
        return sorted(found)

    # Keys

    def read_format(self):
        numbers = [int(name[7:]) for name in self.names("format") if name[7:].isdigit()]
        require(numbers, "there is no repository")
        number, self.id, self.admin = read_format(self.get(f"format/{max(numbers)}"))
        require(number == max(numbers), "the format is not what its name says")

    def open_slot(self, password):
        for name in self.names("slots"):
            body, signature = signed_frame(self.get(name))
            r = Reader(body)
            r.header(SLOT)
            repository, slot, revision = r.raw(16), r.raw(16), r.u32()
            r.i64(), r.text(256)
            derivation, log_n, block, parallel = r.u8(), r.u8(), r.u32(), r.u32()
            salt, sealing, signing = r.raw(32), r.raw(32), r.raw(32)
            clear, wrapped = body[: r.at], r.raw(112)
            r.end()
            require(repository == self.id and name == f"slots/{slot.hex()}-{revision}", "a slot is misnamed")
            require(slot == sha256(sealing + signing)[:16], "a slot is not of its keys")
            verify(body, signature, signing)
            if derivation == 1:
                require(10 <= log_n <= 20 and block == 8 and 1 <= parallel <= 4, "scrypt over its limits")
                secret = hashlib.scrypt(
                    password, salt=salt, n=1 << log_n, r=block, p=parallel, maxmem=(1 << 30) + (1 << 21), dklen=32)
            else:
                secret = password
            try:
                plain = open_box(hkdf(secret, salt, b"slot"), clear, wrapped)
            except Damaged:
                continue
            require(plain[64:] == self.admin, "the slot pins another admin key than the format has")
            self.slot, self.pair = slot, Pair(plain[:32])
            require(self.pair.public == sealing, "the private key is not of the public one")
            return
        raise Damaged("no slot opens with this password")

    def read_epochs(self):
        self.openings = {}
        for name in self.names("epochs"):
            body, signature = signed_frame(self.get(name))
            r = Reader(body)
            r.header(EPOCH)
            repository, epoch = r.raw(16), r.u32()
            r.i64()
            self.openings[epoch] = (r.raw(32), r.raw(32))
            r.end()
            verify(body, signature, self.admin)
            require(repository == self.id and name == f"epochs/{epoch}", "an epoch is misnamed")

    def read_grants(self):
        self.grants, self.keys = Roster(self.id, self.admin), {}
        self.roster = self.grants.members
        for name in self.names("grants"):
            data = self.get(name)
            grant, rules = self.grants.add(data)
            epoch = grant["epoch"]
            require(name == f"grants/{grant['slot'].hex()}/{epoch}-{sha256(data).hex()}", "a grant is misnamed")
            if grant["slot"] != self.slot or not rules:
                continue
            ephemeral = grant["ephemeral"]
            info = b"grant" + self.id + self.slot + struct.pack("<I", epoch)
            plain = open_box(hkdf(self.pair.shared(ephemeral), ephemeral, info), grant["clear"], grant["sealed"])
            require(len(plain) % 33 == 0, "granted keys are cut short")
            keys = {plain[at]: plain[at + 1 : at + 33] for at in range(0, len(plain), 33)}
            if self.openings.get(epoch) == (keys.get(DATA_PUBLIC), keys.get(STRUCTURE_PUBLIC)):
                self.keys[epoch] = keys
        require(self.keys and not self.roster[self.slot]["revoked"], "the slot has no grant")

    def signer(self, slot, allowed=lambda member: True):
        return self.grants.signer(slot, allowed)

    @staticmethod
    def may_collect(member):
        return any(role in (ADMIN, MAINTAINER) for role, _ in member["roles"].values())

    def opening_pairs(self, kind, epoch):
        private = self.keys.get(epoch, {}).get(kind)
        return ([Pair(private)] if private else []) + [self.pair]

    def id_key(self, kind):
        key = self.keys[max(self.keys)].get(kind)
        require(key, "this key may not check chunk ids")
        return key

    # Snapshots

    def snapshots(self):
        found = []
        for name in self.names("snapshots"):
            data = self.get(name)
            _, tag, place = name.split("/")
            snapshot = self.snapshot(data, bytes.fromhex(tag), ulid(place))
            if snapshot:
                found.append(snapshot)
        return sorted(found, key=lambda s: (s["tag"], s["sequence"], s["id"]))

    def snapshot(self, data, tag, identity):
        body, signature = signed_frame(data)
        outer = Reader(body)
        if outer.header(SNAPSHOT, TOMBSTONE) == TOMBSTONE:
            require(outer.raw(48) == self.id + tag + identity, "a tombstone is misnamed")
            verify(body, signature, self.signer(outer.raw(16), self.may_collect))
            return None
        clear = outer.raw(outer.u32())
        sealed = outer.raw(outer.left())
        r = Reader(clear)
        require(r.raw(48) == self.id + tag + identity, "a snapshot is misnamed")
        sequence, previous, epoch, _, slot, salt = r.u64(), r.raw(32), r.u32(), r.u32(), r.raw(16), r.raw(32)
        r.list(32, 1 << 16, lambda: r.raw(32))
        envelope = r.raw(256)
        r.end()

        def allowed(member):
            role, sources = member["roles"].get(epoch, (REVOKED, []))
            return role == ADMIN or role == WRITER and (not sources or tag in sources)

        verify(body, signature, self.signer(slot, allowed))
        pairs = self.opening_pairs(STRUCTURE_PRIVATE, epoch)
        seed = open_envelope(envelope, pairs, salt, self.id, SNAPSHOT, epoch)
        framed = Reader(open_box(hkdf(seed, salt, b"snapshot"), clear, sealed))
        record = Reader(framed.bytes(64 << 20))
        framed.zeros()
        fields = record.fields(64 << 20)
        record.end()
        source = Reader(fields[1]).text(4096)
        if SOURCE_ID in self.keys[max(self.keys)]:
            require(mac(self.id_key(SOURCE_ID), source.encode())[:16] == tag, "the source is not of the tag")
        r = Reader(fields[17])
        roots = r.list(8, 4096, lambda: (r.bytes(64 << 10), read_entry(r)))
        self.openings_of[ulid_text(identity)] = fields.get(20)
        heads = Reader(fields.get(19, b"\0"))
        self.heads += heads.list(52, 1024, lambda: (heads.raw(16), heads.u32(), heads.raw(32)))
        return {
            "id": ulid_text(identity), "tag": tag.hex(), "sequence": sequence, "epoch": epoch, "slot": slot.hex(),
            "digest": sha256(data).hex(), "previous": previous.hex(), "source": source, "roots": roots}

    # Index

    def load_index(self):
        """Entries by the first half of a chunk id: (depth, pack, offset, stored, codec, plain length, base)."""
        present = {}
        for name in self.names("packs"):
            pack = name.split("/")[-1]
            require(name == f"packs/{pack[:2]}/{pack}", "a pack is misnamed")
            present[pack] = os.path.getsize(os.path.join(self.root, name))
        runs, superseded = [], set()
        for name in self.names("index"):
            run = self.read_run(name)
            if self.may_collect(self.roster[run["slot"]]):
                superseded.update(run["supersedes"])
            runs.append((name, run))
        self.index = {}
        for name, run in runs:
            if bytes.fromhex(name.split("/")[-1]) not in superseded:
                self.add_run(run, present)

    def read_run(self, name):
        data = self.get(name)
        require(name == "index/" + sha256(data).hex(), "a run is not what its name says")
        body, signature = signed_frame(data)
        outer = Reader(body)
        outer.header(RUN)
        clear = outer.raw(outer.u32())
        sealed = outer.raw(outer.left())
        r = Reader(clear)
        require(r.raw(16) == self.id, "a run is foreign")
        epoch, slot = r.u32(), r.raw(16)
        r.i64()
        salt = r.raw(32)
        supersedes = r.list(32, 1 << 16, lambda: r.raw(32))
        packs = r.list(50, 1 << 23, lambda: (r.raw(32).hex(), r.varint(), r.u8(), r.raw(16)))
        entries, bases = r.varint(), r.varint()
        r.end()
        verify(body, signature, self.signer(slot))
        key = hkdf(self.keys[epoch][INDEX], salt, b"run")
        table = open_stream(sealed, key, sha256(clear), 2)
        require(entries <= 1 << 24 and len(table) == 32 * entries + 20 * bases, "a run's table has another length")
        return {"slot": slot, "supersedes": supersedes, "packs": packs, "entries": entries, "table": table}

    def add_run(self, run, present):
        table, entries = run["table"], run["entries"]
        bases = dict(struct.iter_unpack("<I16s", table[32 * entries :]))
        last = b""
        for place, item in enumerate(struct.iter_unpack("<16sIIII", table[: 32 * entries])):
            prefix, pack, offset, stored, plain = item
            require(prefix >= last, "a run is out of order")
            require(pack < len(run["packs"]), "an entry names no pack")
            last = prefix
            name, length, _, _ = run["packs"][pack]
            depth = stored >> 28
            if present.get(name) == length and (not depth or place in bases):
                entry = (depth, name, offset, stored & 0xFFFFFF, stored >> 24 & 15, plain & 0xFFFFFF, bases.get(place))
                self.index.setdefault(prefix, []).append(entry)

    # Packs and chunks

    def open_pack(self, name):
        if name not in self.packs:
            data = self.get(f"packs/{name[:2]}/{name}")
            require(sha256(data).hex() == name, "a pack is not what its name says")
            self.packs[name] = self.open_head(data)
        return self.packs[name]

    def open_head(self, data):
        head = data[:512]
        r = Reader(head)
        r.header(PACK)
        require(r.raw(16) == self.id, "a pack is foreign")
        kind, suite = r.u8(), r.u8()
        require(1 <= kind <= 5 and suite == 1 and r.raw(2) == bytes(2), "a pack is of another kind or suite")
        epoch = r.u32()
        r.raw(32)
        salt, commitment = r.raw(32), r.raw(32)
        segments, contents, chunks = r.u32(), r.u32(), r.u32()
        envelope = r.raw(256)
        r.raw(104)
        require(crc32c(head[:508]) == r.u32(), "the checksum of a head does not fit")
        require(1 <= segments <= 1024 and contents <= 8 << 20 and chunks <= 65536, "a pack is over its limits")
        toc = 512 + SEGMENT * segments
        require(len(data) == toc + contents + 512 and data[-512:] == head, "the parts of a pack do not fit")
        pairs = self.opening_pairs(STRUCTURE_PRIVATE if kind == META_PACK else DATA_PRIVATE, epoch)
        seed = open_envelope(envelope, pairs, salt, self.id, kind, epoch)
        require(mac(seed, b"commit") == commitment, "a seed is not the one that was committed to")
        digest = sha256(head)
        key = hkdf(seed, salt, b"body")
        self.check_contents(data[toc:-512], hkdf(self.keys[epoch][INDEX], salt, b"toc"), digest, chunks, segments)
        return b"".join(
            open_segment(data[512 + i * SEGMENT :][:SEGMENT], key, digest, 0, i, i == segments - 1)
            for i in range(segments))

    @staticmethod
    def check_contents(sealed, key, digest, chunks, segments):
        r = Reader(open_stream(sealed, key, digest, 1))
        require(r.count(36, 65536) == chunks, "a table of contents has another count than its head")
        total = 0
        for _ in range(chunks):
            r.raw(32)
            codec, depth = r.u8(), r.u8()
            total += r.varint()
            length = r.varint()
            require(length <= CHUNK_LIMIT and depth <= 8 and (depth > 0) == (codec == 3), "a chunk is over its limits")
            if codec == 3:
                r.raw(16)
        require(total <= segments * SEGMENT_PLAIN, "a table of contents leads out of its body")
        r.zeros()

    def decode(self, prefix, below):
        """The shallowest copy under that depth."""
        copies = sorted(copy for copy in self.index.get(prefix, []) if copy[0] < below)
        require(copies, f"chunk {prefix.hex()} is missing")
        depth, pack, offset, stored, codec, length, base = copies[0]
        require(length <= CHUNK_LIMIT and depth <= 8 and (depth > 0) == (codec == 3), "a chunk is over its limits")
        body = self.open_pack(pack)
        require(offset + stored <= len(body), "an entry leads out of its pack")
        data = body[offset : offset + stored]
        if codec == 0:
            plain = data
        elif codec == 2:
            inflater = zlib.decompressobj()
            plain = inflater.decompress(data, length + 1)
            require(inflater.eof and not inflater.unused_data, "a zlib stream does not end where it should")
        elif codec in (1, 3):
            plain = self.decode_zstd(data, length, self.decode(base, depth) if codec == 3 else None)
        else:
            raise Damaged(f"codec {codec} is unknown")
        require(len(plain) == length, "a chunk has another length than its entry says")
        return plain

    @staticmethod
    def decode_zstd(data, length, base):
        frame = zstandard.get_frame_parameters(data)
        require(
            frame.content_size == length and frame.dict_id == 0 and frame.window_size <= 1 << 23,
            "a zstd frame is over its limits")
        prefix = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
        inflater = zstandard.ZstdDecompressor(dict_data=prefix).decompressobj()
        try:
            plain = inflater.decompress(data)
        except zstandard.ZstdError as error:
            raise Damaged(f"a zstd frame does not decode: {error}") from None
        require(inflater.eof and not inflater.unused_data, "a zstd frame does not end where it should")
        return plain

    def chunk(self, identity, kind):
        plain = self.decode(identity[:16], 16)
        require(mac(self.id_key(kind), plain) == identity, f"chunk {identity.hex()} has other bytes")
        return plain
