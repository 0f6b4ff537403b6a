// holdfast vault list, show and get: names, versions, and one value.

import ArgumentParser
import Foundation
import Glibc
import Primitives
import SecretVaults
import State

struct VaultList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the secrets of a vault, without their values.",
        discussion: """
            Example:

              holdfast vault list vault:embedded:secrets.vault --prefix app/
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Option(name: .long, help: ArgumentHelp("Those alone whose names begin so.", valueName: "text"))
    var prefix = ""

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let opened = try vault.open(context)
            var table = Table([("SECRET", .left), ("VERSIONS", .right), ("CURRENT", .left), ("CHANGED", .left)])
            var secrets: [SecretReport] = []
            var refused: [HoldfastError] = []
            var mark: VaultPageMark?
            repeat {
                try context.cancellation.check()
                let page = try opened.list(under: prefix, after: mark, limit: 500)
                for listing in page.secrets {
                    let record: SecretRecord
                    if let known = listing.record { record = known } else { record = try opened.describe(listing.name) }
                    secrets.append(SecretReport(record))
                }
                refused += page.refused
                mark = page.next
            } while mark != nil
            secrets.sort { $0.name < $1.name }
            for secret in secrets {
                table.add([
                    ShownText.name(secret.name) + (secret.removedAt == nil ? "" : " (removed)"),
                    "\(secret.versions.count)", secret.current ?? "-", secret.changed ?? secret.created ?? "-",
                ])
            }
            for line in table.lines { try context.output.line(line) }
            for error in refused { context.output.warning(ShownText.line(error.message)) }
            try context.output.json(
                VaultListReport(vault: "vault:\(opened.location)", secrets: secrets, refused: refused.map(\.message)))
            return refused.isEmpty ? .success : .partial
        }
    }
}

struct VaultShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the versions of a secret, without their values.",
        discussion: """
            Example:

              holdfast vault show vault:embedded:secrets.vault app/db
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Argument(help: ArgumentHelp("The name of the secret.", valueName: "secret"))
    var name: String

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let record = try vault.open(context).describe(try SecretName(name))
            let report = SecretReport(record)
            var table = Table([("VERSION", .left), ("CREATED", .left), ("STATE", .left), ("LABELS", .left)])
            for version in report.versions {
                table.add([
                    version.id, version.created ?? "-", version.state,
                    (version.labels + (version.id == report.current && version.labels.isEmpty ? ["(current)"] : []))
                        .joined(separator: " "),
                ])
            }
            for line in table.lines { try context.output.line(line) }
            if let removed = report.removedAt { try context.output.line("removed   \(removed)") }
            try context.output.json(SecretShowReport(secret: report))
            return .success
        }
    }
}

struct VaultGet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print the value of a secret.",
        discussion: """
            The value goes to standard output as it is, without a line end, and nowhere else.

            Example:

              holdfast vault get vault:embedded:secrets.vault app/db --reveal
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var reveal: RevealOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Argument(help: ArgumentHelp("The name of the secret.", valueName: "secret"))
    var name: String

    @Option(name: .long, help: ArgumentHelp("This version; the current one where none is given.", valueName: "id"))
    var version: String?

    func validate() throws {
        if global.json { throw ValidationError("--json would put the value into the report; leave it out.") }
        try reveal.require()
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let name = try SecretName(name)
            let wanted = try version.map { (id) throws(HoldfastError) in try SecretVersionID(id) }
            let use = VaultUse(reads: .revealed, reason: audit.reason)
            let reading = try vault.open(context, for: use).read(name, wanted)
            try RevealOptions.write(reading.value)
            return .success
        }
    }
}

/// That a value is to be shown, said in so many words.
struct RevealOptions: ParsableArguments {
    @Flag(name: .long, help: "Show the value.")
    var reveal = false

    func require() throws {
        guard reveal else { throw ValidationError("A value is shown with --reveal alone.") }
    }

    /// Writes a value to standard output.
    ///
    /// - Throws: `.targetFailed` when it is closed or full.
    static func write(_ value: SecretValue) throws(HoldfastError) {
        let isHarmless = value.bytes.withBytes { bytes in
            bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 9 || $0 == 10 }
        }
        guard isHarmless || isatty(1) == 0 else {
            throw HoldfastError(
                .usage, "the value has control characters, which would drive this terminal",
                hint: "Send the output into a file or a program.")
        }
        let sink = try DumpSink(path: nil)
        try value.bytes.withBytes { (bytes) throws(HoldfastError) in try sink.write(bytes) }
        try sink.finish()
    }
}

/// A secret without its values.
struct SecretReport: Encodable {
    struct Version: Encodable {
        let id, state: String
        let order: UInt64
        let created, notBefore, expires, contentType: String?
        let labels: [String]
    }

    let name: String
    let current, created, changed, removedAt, description: String?
    let maximumVersions: Int?
    let tags: [String: String]
    let versions: [Version]

    init(_ record: SecretRecord) {
        name = record.name.text
        current = record.current?.text
        created = record.created?.description
        changed = record.changed?.description
        removedAt = record.removal.map { $0.at?.description ?? "unknown" }
        description = record.attributes.description
        maximumVersions = record.attributes.limits.maximumVersions
        tags = Dictionary(record.attributes.tags.tags.map { ($0.key, $0.value) }) { $1 }
        versions = record.versions.map { version in
            Version(
                id: version.id.text, state: version.state.word, order: version.order,
                created: version.created?.description, notBefore: version.attributes.notBefore?.description,
                expires: version.attributes.expires?.description, contentType: version.attributes.contentType,
                labels: version.labels.map(\.text))
        }
    }
}

extension SecretVersionState {
    var word: String {
        switch self {
        case .live: "live"
        case .disabled: "disabled"
        case .softDeleted: "deleted"
        case .destroyed: "destroyed"
        }
    }
}

/// `holdfast.vault-list/1`.
struct VaultListReport: Encodable {
    let schema = "holdfast.vault-list/1"
    let vault: String
    let secrets: [SecretReport]
    let refused: [String]

    private enum CodingKeys: String, CodingKey { case schema, vault, secrets, refused }
}

/// `holdfast.vault-show/1`.
struct SecretShowReport: Encodable {
    let schema = "holdfast.vault-show/1"
    let secret: SecretReport

    private enum CodingKeys: String, CodingKey { case schema, secret }
}
