"""Entries, directory nodes and contents of format 1."""

from primitives import Reader, require

META_ID = 3


def read_entry(r):
    entry = {"name": r.bytes(255), "kind": r.u8()}
    require(1 <= entry["kind"] <= 7, "an entry's kind is unknown")
    entry["mode"], entry["user"], entry["group"] = r.varint(), r.varint(), r.varint()
    r.text(255), r.text(255)
    entry["modified"], entry["changed"] = r.zigzag(), r.zigzag()
    entry["inode"], entry["device"], entry["links"], entry["size"] = r.varint(), r.varint(), r.varint(), r.varint()
    r.varint()
    entry["target"] = r.bytes(4096)
    entry["attributes"] = r.list(2, 4096, lambda: (r.bytes(255), r.bytes(64 << 10)))
    parts = r.u8()
    require(parts <= 3, "an entry has unknown parts")
    if parts & 1:
        entry["content"] = read_content(r)
    if parts & 2:
        level = r.u8()
        require(level <= 6, "a directory is too high")
        entry["tree"] = (level, r.raw(32))
    r.fields(64 << 10)
    return entry


def read_content(r):
    rule, shift, size, form = r.u8(), r.u8(), r.varint(), r.u8()
    require(rule in (1, 2) and shift <= 23 and form in (0, 1), "a content is of another form")
    content = {"size": size, "block": 1 << shift if rule == 2 else 0}
    if form == 0:
        content["pieces"] = r.list(33, 32, lambda: (r.raw(32), r.varint()))
        require(sum(length for _, length in content["pieces"]) == size, "pieces do not add up")
    else:
        level = r.u8()
        require(level <= 4, "a file is too high")
        content["tree"] = (level, r.raw(32))
    return content


def directory_entries(repository, level, node):
    r = Reader(repository.chunk(node, META_ID))
    kind, version = r.u8(), r.u8()
    require(version == 1 and r.u8() == level, "a node is of another version or level")
    last = b""
    if kind == 1 and level == 0:
        for _ in range(r.count(16, 1 << 20)):
            entry = read_entry(r)
            require(entry["name"] > last, "names are out of order")
            last = entry["name"]
            yield entry
    else:
        require(kind == 2 and 1 <= level <= 6, "no directory node")
        for _ in range(r.count(33, 1 << 20)):
            first = r.bytes(255)
            require(first > last, "names are out of order")
            last = first
            yield from directory_entries(repository, level - 1, r.raw(32))
    r.end()


def pieces(repository, content):
    if "pieces" in content:
        yield from content["pieces"]
    else:
        yield from node_pieces(repository, *content["tree"], content["block"])


def node_pieces(repository, level, node, block):
    r = Reader(repository.chunk(node, META_ID))
    kind, version, own, count = r.u8(), r.u8(), r.number("H"), r.u32()
    require(own == level and count <= 4096 and kind == (4 if level else 3), "no content node of this level")
    ids = [r.raw(32) for _ in range(count)]
    if version == 2:
        require(kind == 3 and block, "lengths are missing")
        last = r.varint()
        require(last <= block, "the last block is too long")
        lengths = [block] * (count - 1) + [last] * min(1, count)
    else:
        require(version == 1, "a node is of another version")
        lengths = [r.varint() for _ in range(count)]
    r.end()
    for identity, length in zip(ids, lengths):
        if level == 0:
            yield identity, length
        else:
            yield from node_pieces(repository, level - 1, identity, block)
