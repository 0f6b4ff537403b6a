// holdfast vault put, state and remove: changes of a secret.

import ArgumentParser
import Glibc
import Primitives
import SecretVaults
import VaultProviders

struct VaultPut: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Put a new version of a secret.",
        discussion: """
            The value is read from --file, else from standard input, byte for byte; never from the command line. It is \
            text when it is UTF-8, else binary; --json-object says that it is an object as KV vaults have them.

            Examples:

              printf %s "$NEW" | holdfast vault put vault:embedded:secrets.vault app/db

              holdfast vault put vault:embedded:secrets.vault tls/key --file server.key --if-absent
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Argument(help: ArgumentHelp("The name of the secret.", valueName: "secret"))
    var name: String

    @Option(name: .long, help: ArgumentHelp("A file with the value.", valueName: "file"))
    var file: String?

    @Flag(name: .long, help: "The value is a JSON object.")
    var jsonObject = false

    @Flag(name: .long, help: "Only when the secret is not there.")
    var ifAbsent = false

    @Option(
        name: .long,
        help: ArgumentHelp("Only when this version is the current one.", valueName: "id"))
    var ifCurrent: String?

    @Option(name: .long, help: ArgumentHelp("When it ends: a date or a time.", valueName: "time"))
    var expires: InstantArgument?

    func validate() throws {
        if ifAbsent, ifCurrent != nil { throw ValidationError("--if-absent and --if-current exclude each other.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let name = try SecretName(name)
            let bytes = try value(context)
            let opened = try vault.open(context, for: audit.use)
            let form: SecretForm = jsonObject ? .fields : bytes.isText ? .text : .binary
            var put = SecretPut(name, SecretValue(form, bytes), expected: try expectation(name, in: opened))
            put.attributes.expires = expires?.instant(now: context.clock.now())
            let made = try opened.put(put)
            try context.output.line("put version \(made.id) of \(ShownText.name(name.text))")
            try context.output.json(VaultPutReport(secret: name.text, version: made.id.text))
            return .success
        }
    }

    private func expectation(
        _ name: SecretName, in vault: any SecretVault
    ) throws(HoldfastError) -> SecretExpectation {
        if ifAbsent { return .absent }
        if let ifCurrent { return .current(try SecretVersionID(ifCurrent)) }
        return .anything
    }

    private func value(_ context: CommandContext) throws(HoldfastError) -> SecretBytes {
        let limit = Int(SecretValue.maximumCount.bytes)
        let read: SecretFile
        if let file {
            read = try SecretFile.read(file, limit: limit)
        } else {
            guard isatty(0) == 0 else {
                throw HoldfastError(
                    .usage, "no value is given", hint: "Pipe it in, or name a file with --file.")
            }
            read = try SecretFile.read("/dev/stdin", limit: limit)
        }
        guard !read.isLonger else {
            throw HoldfastError(
                .limitExceeded, "the value has more than \(SecretValue.maximumCount)", hint: "Keep it in a file.")
        }
        return read.bytes
    }
}

extension SecretBytes {
    /// Whether the bytes are UTF-8 without a zero.
    fileprivate var isText: Bool {
        withBytes { bytes in
            if bytes.contains(0) { return false }
            var decoder = UTF8()
            var iterator = bytes.makeIterator()
            while true {
                switch decoder.decode(&iterator) {
                case .scalarValue: continue
                case .emptyInput: return true
                case .error: return false
                }
            }
        }
    }
}

/// `holdfast.vault-put/1`.
struct VaultPutReport: Encodable {
    let schema = "holdfast.vault-put/1"
    let secret, version: String

    private enum CodingKeys: String, CodingKey { case schema, secret, version }
}

struct VaultState: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "state",
        abstract: "Change how a version stands: delete, undelete, destroy, disable or enable.",
        discussion: """
            A deleted version can be had back, a destroyed one from a snapshot alone. Not every kind of vault has each.

            Example:

              holdfast vault state vault:embedded:secrets.vault app/db 3 softDelete
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Argument(help: ArgumentHelp("The name of the secret.", valueName: "secret"))
    var name: String

    @Argument(help: ArgumentHelp("The version.", valueName: "version"))
    var version: String

    @Argument(help: ArgumentHelp("softDelete, undelete, destroy, disable or enable.", valueName: "change"))
    var change: SecretStateChange

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let name = try SecretName(name)
            let opened = try vault.open(context, for: audit.use)
            try opened.change(name, .state(change, of: try SecretVersionID(version)))
            let report = SecretReport(try opened.describe(name))
            let state = report.versions.first { $0.id == version }?.state ?? "gone"
            try context.output.line("version \(version) of \(ShownText.name(name.text)) is \(state)")
            try context.output.json(SecretShowReport(secret: report))
            return .success
        }
    }
}

extension SecretStateChange: ExpressibleByArgument {}

struct VaultRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a secret with all its versions, or have it back.",
        discussion: """
            Where the vault can, it can be had back for a while; --permanently leaves it to the snapshots.

            Example:

              holdfast vault remove vault:embedded:secrets.vault app/old
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Argument(help: ArgumentHelp("The name of the secret.", valueName: "secret"))
    var name: String

    @Flag(name: .long, help: "So that the vault cannot give it back.")
    var permanently = false

    @Flag(name: .long, help: "Have a removed secret back.")
    var recover = false

    func validate() throws {
        if permanently, recover { throw ValidationError("--permanently and --recover exclude each other.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let name = try SecretName(name)
            try vault.open(context, for: audit.use).change(
                name, recover ? .recover : .remove(permanently ? .permanent : .recoverable))
            try context.output.line("\(recover ? "recovered" : "removed") \(ShownText.name(name.text))")
            try context.output.json(VaultPutReport(secret: name.text, version: ""))
            return .success
        }
    }
}
