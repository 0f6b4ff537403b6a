// holdfast keys remove: takes a slot away and, as a rule, starts a new epoch.

import ArgumentParser
import Primitives
import Repository

struct KeysRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a key slot and start a new epoch.",
        discussion: """
            The slot opens the repository no more. Whoever copied its keys before can still open what the slot could \
            read until now; the new epoch keeps from it what is written from now on.

            Example:

              holdfast keys remove 3f9a12
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The slot: at least 4 letters of its id.", valueName: "slot"))
    var slot: String

    @Flag(name: .long, help: "Do not start a new epoch: what is written from now on stays open to a copied key.")
    var keepEpoch = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            try repository.keyring.require(.admin, toDo: "remove keys")
            let id = try SlotChoice.find(slot, among: repository.keyring.roster.values.filter { !$0.isRevoked })
            try repository.removeKey(id)
            try context.output.line("removed key slot \(id)")
            var epoch: Epoch?
            if !keepEpoch {
                let started = try repository.reloadingKeys().rotateEpoch()
                try context.output.line("started epoch \(started)")
                epoch = started
            }
            try context.output.json(KeyRemovedReport(slot: id.description, epoch: epoch))
            return .success
        }
    }
}

/// `holdfast.keys-remove/1`.
struct KeyRemovedReport: Encodable {
    let schema = "holdfast.keys-remove/1"
    let slot: String
    /// The epoch that was started; missing with `--keep-epoch`.
    let epoch: UInt32?

    private enum CodingKeys: String, CodingKey { case schema, slot, epoch }
}

/// Finds a slot by the beginning of its id.
enum SlotChoice {
    static let shortestPrefix = 4

    /// - Throws: `.usage` when none or several match.
    static func find(_ text: String, among members: [Member]) throws(HoldfastError) -> SlotID {
        let hint = "`holdfast keys list` shows the slots."
        let prefix = text.lowercased()
        guard prefix.utf8.count >= shortestPrefix else {
            throw HoldfastError(.usage, "a slot is named by at least \(shortestPrefix) letters of its id", hint: hint)
        }
        let matches = members.map(\.slot).filter { $0.description.hasPrefix(prefix) }.sorted()
        guard let match = matches.first else {
            throw HoldfastError(.usage, "there is no key slot whose id begins with \(prefix)", hint: hint)
        }
        guard matches.count == 1 else {
            let names = matches.map(\.description).joined(separator: ", ")
            throw HoldfastError(.usage, "several key slots have an id that begins with \(prefix): \(names)", hint: hint)
        }
        return match
    }
}
