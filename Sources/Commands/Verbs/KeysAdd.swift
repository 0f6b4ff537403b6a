// holdfast keys add: a slot for one more holder.

import ArgumentParser
import Primitives
import Repository

/// Where the secret of a new or changed slot comes from.
struct NewSecretOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("A file with the new password in its first line.", valueName: "file"))
    var newPasswordFile: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A file with a raw key of 32 bytes; it is made when it is not there.", valueName: "file"))
    var newKeyFile: String?

    func validate() throws {
        if newPasswordFile != nil && newKeyFile != nil {
            throw ValidationError("--new-password-file and --new-key-file exclude each other.")
        }
    }

    /// The new secret; asked for twice on a terminal when no file is given.
    func key(_ context: CommandContext) throws(HoldfastError) -> SlotKey {
        let source = SecretSource(context)
        if let newPasswordFile { return try source.password(fromFile: newPasswordFile) }
        if let newKeyFile { return try source.madeRawKey(newKeyFile, context) }
        return try source.askedPassword("new password: ", confirming: true)
    }
}

struct KeysAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a key slot.",
        discussion: """
            Only an admin may add keys. Without a file the new password is asked for on the terminal.

            Examples:

              holdfast keys add --role writer --label web-1 --source web --new-password-file web-1.password

              holdfast keys add --role maintainer --label prune-host --new-key-file prune.key

              holdfast keys add --role restorer --attest --label drills --new-key-file drills.key
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var secret: NewSecretOptions

    @Option(name: .long, help: ArgumentHelp("What the holder may do: writer, maintainer, restorer or admin."))
    var role: Role

    @Option(name: .long, help: ArgumentHelp("A name for the key.", valueName: "text"))
    var label: String

    @Flag(
        name: .long,
        help: "A writer can read what it stored itself, and so store changed pages of databases as small deltas.")
    var readback = false

    @Flag(name: .long, help: "The holder may sign evidence of drills and restores; an admin always may.")
    var attest = false

    @Option(
        name: .customLong("source"),
        help: ArgumentHelp(
            "A writer may make snapshots of this source only; may be given again.", valueName: "name"))
    var sources: [String] = []

    func validate() throws {
        try LabelText.validate(label)
        guard role == .writer || (!readback && sources.isEmpty) else {
            throw ValidationError("--readback and --source are for the role writer.")
        }
        guard sources.count <= GrantObject.maximumSources, !sources.contains("") else {
            throw ValidationError("--source takes a name, at most \(GrantObject.maximumSources) times.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            try repository.keyring.require(.admin, toDo: "add keys")
            let key = try secret.key(context)
            var rights: Rights = []
            if readback { rights.insert(.readback) }
            if attest { rights.insert(.attest) }
            let slot = try repository.addKey(
                Repository.NewKey(
                    label: label, role: role, rights: rights, sources: sources,
                    secret: key.secret, derivation: key.isRaw ? .rawKey : .standard))
            try context.output.line("added key slot \(slot) (role \(role))")
            try context.output.json(
                KeyAddedReport(slot: slot.description, role: role.description, label: label))
            return .success
        }
    }
}

/// `holdfast.keys-add/1`.
struct KeyAddedReport: Encodable {
    let schema = "holdfast.keys-add/1"
    let slot: String
    let role: String
    let label: String

    private enum CodingKeys: String, CodingKey { case schema, slot, role, label }
}

extension Role: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
    package static var allValueStrings: [String] { ["writer", "maintainer", "restorer", "admin"] }
}
