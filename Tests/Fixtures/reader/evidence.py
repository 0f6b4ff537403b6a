"""Records of drills and restores of format 1: single links, whole chains, and proofs outside of a repository."""

from primitives import Reader, hkdf, mac, open_box, open_envelope, require, sha256, signed_frame, ulid_text, verify
from repository import ADMIN, STRUCTURE_PRIVATE, Roster, read_format

EVIDENCE, PROOF = 14, 16
ATTEST = 2
RECORD_LIMIT = 8 << 20
KINDS = {1: "drill", 2: "incident", 3: "rotation", 4: "runs"}
OCCASIONS = {1: "automatic", 2: "manual", 3: "game-day"}
VERDICTS = {1: "passed", 2: "failed", 3: "interrupted"}
CHECK_VERDICTS = {1: "passed", 2: "failed", 3: "timedOut", 4: "skipped", 5: "notRun"}
ORIGINS = {1: "witnessed", 2: "imported"}


def meaning(table, number):
    require(number in table, "a number has no meaning")
    return table[number]


class Link:
    """A link whose signature holds, by somebody who had the right; its record is sealed still."""

    def __init__(self, data, roster):
        body, signature = signed_frame(data)
        outer = Reader(body)
        outer.header(EVIDENCE)
        self.clear = outer.raw(outer.u32())
        self.sealed = outer.raw(outer.left())
        r = Reader(self.clear)
        require(r.raw(16) == roster.repository, "a link is foreign")
        self.slot, self.number, self.previous, self.id = r.raw(16), r.u32(), r.raw(32), r.raw(16)
        self.origin, self.epoch = meaning(ORIGINS, r.u8()), r.u32()
        self.stored = r.i64()
        self.others = r.list(52, 1024, lambda: (r.raw(16), r.u32(), r.raw(32)))
        self.salt, self.commitment, self.envelope = r.raw(32), r.raw(32), r.raw(256)
        r.fields(64 << 10)
        r.end()
        require(self.number > 0, "a link has the number 0")
        require((self.number == 1) == (not any(self.previous)), "a link names none before it, or is the first")
        self.digest = sha256(data)

        def allowed(member):
            role, _ = member["roles"].get(self.epoch, (0, []))
            return role == ADMIN or role and member["rights"][self.epoch] & ATTEST

        verify(body, signature, roster.signer(self.slot, allowed))

    def record(self, seed):
        require(mac(seed, b"commit") == self.commitment, "the seed is not the one that was committed to")
        framed = Reader(open_box(hkdf(seed, self.salt, b"evidence"), self.clear, self.sealed))
        plain = framed.bytes(RECORD_LIMIT)
        framed.zeros()
        record = read_record(plain)
        require(record["id"] == ulid_text(self.id), "the record is another than the link says")
        return record | {
            "slot": self.slot.hex(), "number": self.number, "origin": self.origin, "sha256": self.digest.hex()}


def fields_of(data):
    r = Reader(data)
    fields = r.fields(RECORD_LIMIT)
    r.end()
    return fields


def parts(data, limit):
    r = Reader(data)
    found = r.list(1, limit, lambda: fields_of(r.bytes(RECORD_LIMIT)))
    r.end()
    return found


def text(fields, number):
    return Reader(fields[number]).text(64 << 10)


def optional(fields, number, read):
    return read(Reader(fields[number])) if number in fields else None


def read_record(data):
    f = fields_of(data)
    require(set(f) >= set(range(1, 26)) - {6, 8, *range(18, 24)}, "a field of the record is missing")
    members = [read_member(part) for part in parts(f[14], 1024)]
    phases = [read_phase(part) for part in parts(f[15], 8192)]
    checks = [read_check(part) for part in parts(f[16], 8192)]
    names = {member["name"] for member in members}
    require(len(names) == len(members) and "" not in names, "names of members are repeated or empty")
    require(len({check["id"] for check in checks}) == len(checks), "ids of checks are repeated")
    require(
        all(part["member"] in names | {""} for part in phases + checks)
        and all(set(member["after"]) <= names for member in members), "it speaks of a member that it does not have")
    require(
        all(before < place for place, phase in enumerate(phases) for before in phase["after"]),
        "a phase waits for one that is not before it")
    runs = [read_run(part) for part in parts(f[26], 65536)] if 26 in f else []
    require(not runs or f[2][0] == 4, "a drill or a restore tells of runs")
    require(f[2][0] != 4 or not members, "a segment of the run ledger tells of members")
    rotations = [read_rotation(part) for part in parts(f[27], 8192)] if 27 in f else []
    require(not rotations or f[2][0] == 3, "a drill or a restore tells of rotations")
    require(f[2][0] != 3 or not members, "rotations tell of members")
    r = Reader(f[17])
    findings = r.list(3, 1024, lambda: [r.text(64), r.text(4096), r.text(64 << 10)])
    r.end()
    return {
        "id": ulid_text(Reader(f[1]).raw(16)), "kind": meaning(KINDS, f[2][0]),
        "occasion": meaning(OCCASIONS, f[3][0]), "verdict": meaning(VERDICTS, f[4][0]), "plan": text(f, 5),
        "operator": text(f, 7), "started": Reader(f[11]).i64(), "finished": Reader(f[12]).i64(), "members": members,
        "phases": phases, "checks": checks, "findings": findings,
        "rpoAchieved": optional(f, 20, Reader.i64), "rtoMeasured": optional(f, 22, Reader.i64),
        "sabotage": optional(f, 23, lambda r: r.text(64 << 10)), "runs": runs, "rotations": rotations}


def read_run(f):
    run = {"job": text(f, 1), "due": Reader(f[2]).i64(), "trigger": text(f, 5), "outcome": text(f, 6),
           "reason": text(f, 7), "attempt": Reader(f[8]).varint(), "fence": Reader(f[9]).varint(), "host": text(f, 10)}
    require((run["outcome"] == "") != (run["reason"] == ""), "a run neither took place nor was left out, or both")
    return run


def read_rotation(f):
    r = Reader(f[19])
    steps = r.list(10, 1000, lambda: (r.text(64), r.text(64), r.i64()))
    r.end()
    return {"id": text(f, 1), "vault": text(f, 2), "secret": text(f, 3), "policy": text(f, 4), "strategy": text(f, 5),
            "trigger": text(f, 6), "outcome": text(f, 13), "compared": f[15] == b"\1", "steps": steps}


def read_member(f):
    r = Reader(f[11])
    member = {
        "name": text(f, 1), "source": text(f, 2), "workload": text(f, 3), "selection": text(f, 5),
        "after": r.list(1, 1024, lambda: r.text(4096)), "verdict": meaning(VERDICTS, f[15][0])}
    if 4 in f:
        s = Reader(f[4])
        s.raw(16)
        member["snapshot"], _, member["snapshotSha256"] = ulid_text(s.raw(16)), s.u64(), s.raw(32).hex()
        s.end()
    return member


def read_phase(f):
    r = Reader(f[6])
    duration = Reader(f[4]).i64()
    require(duration >= 0, "a phase ends before it begins")
    return {
        "name": text(f, 1), "member": text(f, 2), "measured": 3 in f, "duration": duration,
        "after": r.list(1, 8192, r.varint)}


def read_check(f):
    return {
        "id": text(f, 1), "member": text(f, 2), "kind": text(f, 3), "expected": text(f, 5), "actual": text(f, 6),
        "verdict": meaning(CHECK_VERDICTS, f[7][0]), "evidenceSha256": Reader(f[10]).raw(32).hex()}


def chains(repository):
    """Every record of a repository, after all chains were found whole against each other and all snapshots."""
    repository.snapshots()
    heads, links = list(repository.heads), {}
    for name in repository.names("evidence"):
        link = Link(repository.get(name), repository.grants)
        require(name == f"evidence/{link.slot.hex()}/{link.number}", "a link is misnamed")
        links[link.slot, link.number] = link
        heads += link.others
    for (slot, number), link in links.items():
        if number > 1:
            before = links.get((slot, number - 1))
            require(before, f"link {number - 1} of {slot.hex()} is missing")
            require(before.digest == link.previous, f"link {number} of {slot.hex()} does not follow the one before")
    for slot, number, digest in heads:
        link = links.get((slot, number))
        require(link, f"link {number} of {slot.hex()} is missing, and something later names it")
        require(link.digest == digest, f"link {number} of {slot.hex()} is another than something later names")
    for _, link in sorted(links.items()):
        pairs = repository.opening_pairs(STRUCTURE_PRIVATE, link.epoch)
        seed = open_envelope(link.envelope, pairs, link.salt, repository.id, EVIDENCE, link.epoch)
        yield link.record(seed)


def proof(data, admin):
    """The record in an exported file, checked with the file and the admin key alone."""
    require(len(data) > 48 and sha256(data[:-32]) == data[-32:], "the digest does not fit")
    r = Reader(data[:-32])
    r.header(PROOF)
    _, repository, own = read_format(r.bytes(64 << 10))
    require(own == admin, "it is of a repository with another admin key")
    roster = Roster(repository, admin)
    for grant in r.list(1, 4096, lambda: r.bytes(256 << 10)):
        roster.add(grant)
    link = Link(r.bytes(10 << 20), roster)
    seed, previous = r.raw(32), r.bytes(10 << 20)
    r.end()
    if link.number > 1:
        before = Link(previous, roster)
        require(
            (before.slot, before.number, before.digest) == (link.slot, link.number - 1, link.previous),
            "the link does not follow the one before it")
    else:
        require(not previous, "something stands before the first link")
    return link.record(seed)
