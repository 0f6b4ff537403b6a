// holdfast repair: the group of verbs that mend a repository.

import ArgumentParser

struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Mend what a check found.",
        subcommands: [RepairIndex.self])
}
