// holdfast repair: the group of verbs that mend a repository.

import ArgumentParser

struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Mend what a check found.",
        discussion: """
            Nothing is thrown away by a repair: damaged packs are set aside, and what can be rebuilt from the rest is \
            rebuilt. What is lost heals at the next backup of its source, or from a mirror.
            """,
        subcommands: [RepairIndex.self])
}
