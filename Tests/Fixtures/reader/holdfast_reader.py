#!/usr/bin/env python3
"""An independent reader of holdfast repositories, format 1, written from docs/format.md alone.

It shares no code with holdfast, so that a test that runs it proves the document, not the program. It reads local
stores, verifies every name, signature, tag and chunk id on its way, and stops at the first thing that does not hold.

Usage:
  holdfast_reader.py REPOSITORY PASSWORD_FILE list
  holdfast_reader.py REPOSITORY PASSWORD_FILE extract SNAPSHOT DIRECTORY
  holdfast_reader.py REPOSITORY PASSWORD_FILE evidence
  holdfast_reader.py REPOSITORY PASSWORD_FILE openings SNAPSHOT VALUE_FILE
  holdfast_reader.py proof FILE ADMIN_KEY

SNAPSHOT is an id, ADMIN_KEY 64 hexadecimal digits. `list` prints one JSON object a line; so does `evidence`, one for
each record, once all chains hold, and `openings`, one for each secret that opens a snapshot, with whether the text in a file
is the value that logged in; and `proof` for the record in an exported file, which it checks by itself. Needs
`cryptography` and `zstandard` from PyPI.
"""

import json
import os
import sys

import evidence
import openings
from manifests import directory_entries, pieces
from primitives import Damaged, require
from repository import Repository

DATA_ID = 1
ZEROS = bytes(32)


def extract(repository, snapshot, target):
    links = {}
    os.makedirs(target)
    for number, (_, root) in enumerate(snapshot["roots"]):
        place = target if len(snapshot["roots"]) == 1 else os.path.join(target, str(number))
        if root["kind"] == 2:
            extract_directory(repository, root, os.fsencode(place), links)
        else:
            extract_file(repository, root, os.path.join(os.fsencode(target), safe(root["name"])))


def extract_directory(repository, directory, place, links):
    os.makedirs(place, exist_ok=True)
    for entry in directory_entries(repository, *directory["tree"]):
        path = os.path.join(place, safe(entry["name"]))
        identity = (entry["device"], entry["inode"])
        if entry["kind"] == 2:
            extract_directory(repository, entry, path, links)
        elif entry["kind"] == 1 and entry["links"] > 1 and identity in links:
            os.link(links[identity], path)
        elif entry["kind"] == 1:
            extract_file(repository, entry, path)
            links[identity] = path
        elif entry["kind"] == 3:
            os.symlink(entry["target"], path)
            os.utime(path, ns=(entry["modified"],) * 2, follow_symlinks=False)
        elif entry["kind"] == 4:
            os.mkfifo(path)
    os.chmod(place, entry_mode(directory))
    os.utime(place, ns=(directory["modified"],) * 2)


def extract_file(repository, entry, path):
    content, total = entry["content"], 0
    with open(path, "xb") as file:
        for identity, length in pieces(repository, content):
            require(total + length <= content["size"], "pieces are longer than their file")
            if identity == ZEROS:
                file.seek(length, os.SEEK_CUR)
            else:
                plain = repository.chunk(identity, DATA_ID)
                require(len(plain) == length, "a chunk has another length than its piece")
                file.write(plain)
            total += length
        file.truncate(total)
    require(total == content["size"], "pieces are shorter than their file")
    os.chmod(path, entry_mode(entry))
    os.utime(path, ns=(entry["modified"],) * 2)


def safe(name):
    require(name not in (b"", b".", b"..") and not set(name) & {0, 47}, "a name is not safe")
    return name


def entry_mode(entry):
    return entry["mode"] & 0o7777


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "proof":
        with open(arguments[1], "rb") as file:
            print(json.dumps(evidence.proof(file.read(), bytes.fromhex(arguments[2]))))
        return
    if len(arguments) < 3 or arguments[2] not in ("list", "extract", "evidence", "openings"):
        sys.exit(__doc__)
    with open(arguments[1], "rb") as file:
        repository = Repository(arguments[0], file.read().rstrip(b"\n"))
    if arguments[2] == "evidence":
        for record in evidence.chains(repository):
            print(json.dumps(record))
        return
    # Snapshots are listed before the index, so that each has its runs in place.
    snapshots = repository.snapshots()
    if arguments[2] == "openings":
        with open(arguments[4], "rb") as file:
            for opening in openings.openings(repository, arguments[3], file.read()):
                print(json.dumps(opening))
        return
    if arguments[2] == "list":
        for snapshot in snapshots:
            roots = [os.fsdecode(path) for path, _ in snapshot.pop("roots")]
            print(json.dumps(snapshot | {"roots": roots}))
        return
    repository.load_index()
    chosen = [snapshot for snapshot in snapshots if snapshot["id"] == arguments[3]]
    require(chosen, "there is no such snapshot")
    extract(repository, chosen[0], arguments[4])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Damaged as error:
        sys.exit(f"holdfast_reader: {error}")
