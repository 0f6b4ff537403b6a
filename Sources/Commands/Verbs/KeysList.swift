// holdfast keys list: who holds a key.

import ArgumentParser
import Primitives
import Repository

struct KeysList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List key slots with their roles.",
        discussion: """
            The slot that this command opened the repository with is marked with a star. Removed slots stay in the \
            list, since they vouch for the snapshots that they signed.

            Example:

              holdfast keys list
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let keys = try KeySummary.all(of: repository)
            var table = Table([
                ("SLOT", .left), ("ROLE", .left), ("LABEL", .left), ("CREATED", .left), ("OPENS WITH", .left),
                ("RIGHTS", .left),
            ])
            for key in keys {
                table.add([
                    key.slot + (key.isCurrent ? "*" : ""), key.role, ShownText.name(key.label), key.created ?? "-",
                    key.opensWith ?? "-", key.rightsText,
                ])
            }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(
                KeysReport(
                    repository: repository.id.description, epoch: repository.keyring.current.epoch, keys: keys))
            return .success
        }
    }
}

/// `holdfast.keys/1`.
struct KeysReport: Encodable {
    let schema = "holdfast.keys/1"
    let repository: String
    let epoch: UInt32
    let keys: [KeySummary]

    private enum CodingKeys: String, CodingKey { case schema, repository, epoch, keys }
}

/// One slot.
struct KeySummary: Encodable {
    let slot: String
    let role: String
    let label: String
    /// Nil when the slot object is gone.
    let created: String?
    /// `password` or `raw key`; nil when the slot object is gone.
    let opensWith: String?
    let readback: Bool
    /// The right is there by the role, or beside it.
    let attest: Bool
    /// How many sources the slot may make snapshots of; 0 for all.
    let sources: Int
    let newestEpoch: UInt32
    let isCurrent: Bool

    var rightsText: String {
        var parts: [String] = []
        if readback { parts.append("readback") }
        if attest { parts.append("attest") }
        if sources > 0 { parts.append(sources == 1 ? "1 source" : "\(sources) sources") }
        return parts.joined(separator: ", ")
    }

    /// Every slot that ever had a grant, oldest first.
    static func all(of repository: Repository) throws(HoldfastError) -> [KeySummary] {
        var stored: [SlotID: SlotObject] = [:]
        for (object, _) in try repository.slots() { stored[object.id] = object }
        let members = repository.keyring.roster.values.sorted { one, other in
            let times = (stored[one.slot]?.created, stored[other.slot]?.created)
            let last = Timestamp(nanoseconds: .max)
            return (times.0 ?? last, one.slot) < (times.1 ?? last, other.slot)
        }
        return members.map { member in
            let object = stored[member.slot]
            let epoch = member.newestEpoch
            return KeySummary(
                slot: member.slot.description, role: member.role.description, label: member.label,
                created: object?.created.description,
                opensWith: object.map { $0.derivation == .rawKey ? "raw key" : "password" },
                readback: member.rights[epoch]?.contains(.readback) ?? false,
                attest: !member.isRevoked && member.mayAttest(in: epoch),
                sources: member.sources[epoch]?.count ?? 0, newestEpoch: epoch,
                isCurrent: member.slot == repository.keyring.slot)
        }
    }
}
