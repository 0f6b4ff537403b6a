// holdfast keys: the group of verbs about key slots.

import ArgumentParser

struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "List, add, remove and rotate keys, and give rights.",
        discussion: """
            A key slot belongs to one holder and opens with a password or a raw key. Its role says what the holder may \
            do: a writer makes snapshots and cannot read the data of others, a maintainer frees space and reads no \
            data, a restorer reads everything, an admin does all of it and hands out keys.
            """,
        subcommands: [KeysList.self, KeysAdd.self, KeysGrant.self, KeysRemove.self, KeysRotate.self])
}
