// holdfast keys grant: one more right for a slot that is there.

import ArgumentParser
import Primitives
import Repository

struct KeysGrant: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grant",
        abstract: "Give a key slot a right that it does not have.",
        discussion: """
            The holder keeps the key and the password, and has the right from the next run on. Only an admin may give \
            rights. A right that was given is not taken back: what the slot signed with it would look forged. To end \
            it, remove the slot and add another; what the removed one signed stays good.

            Example:

              holdfast keys grant 3f9a12 --attest
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The slot: at least 4 letters of its id.", valueName: "slot"))
    var slot: String

    @Flag(name: .long, help: "The right to sign evidence of drills and restores; an admin always has it.")
    var attest = false

    func validate() throws {
        guard attest else { throw ValidationError("Say which right: --attest.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            try repository.keyring.require(.admin, toDo: "give rights")
            let id = try SlotChoice.find(slot, among: repository.keyring.roster.values.filter { !$0.isRevoked })
            let isNew = try repository.allowAttesting(id)
            try context.output.line(
                isNew ? "key slot \(id) may sign evidence now" : "key slot \(id) may sign evidence already")
            try context.output.json(KeyGrantedReport(slot: id.description, attest: true, isNew: isNew))
            return .success
        }
    }
}

/// `holdfast.keys-grant/1`.
struct KeyGrantedReport: Encodable {
    let schema = "holdfast.keys-grant/1"
    let slot: String
    let attest: Bool
    /// False when the slot had the right already.
    let isNew: Bool

    private enum CodingKeys: String, CodingKey { case schema, slot, attest, isNew }
}
