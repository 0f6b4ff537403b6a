// The one table of what a source's or a target's URL can begin with.

import Primitives
import SecretVaults

/// A scheme of URLs.
///
/// To add a kind of workload: a folder with its type, and a row in ``all``. Configuration, the JSON Schema, the help
/// and the refusals follow from the row.
package struct WorkloadScheme: Sendable {
    /// What stands before the first colon.
    package var name: String
    /// How such a URL is written.
    package var form: String
    /// The other ways to write one.
    package var otherForms: [String] = []
    package var doc: String
    /// What follows the scheme is a path of a file or directory; a relative one goes from the configuration's.
    package var isPath = false
    /// The source is one stream of bytes, and a command may make it.
    package var isStream = false
    /// Nothing need stand behind the colon.
    package var mayBeBare = false
    package var capabilities: WorkloadCapabilities
    /// Why what stands behind the scheme cannot be meant, in words for an operator; nil where there is no more to say.
    package var refusal: @Sendable (_ rest: String) -> String? = { _ in nil }
    /// Makes the workload of a URL of this scheme; nil when what stands behind the scheme cannot be meant.
    package var make: @Sendable (_ rest: String, WorkloadOptions) -> (any Workload)?

    package static let all: [WorkloadScheme] = [
        WorkloadScheme(
            name: "dir", form: "dir:PATH", doc: "a directory with all below it", isPath: true,
            capabilities: FilesWorkload.capabilities
        ) { FilesWorkload(path: $0, options: $1) },
        WorkloadScheme(
            name: "stdin", form: "stdin:NAME", doc: "what comes on standard input, as a file of that name",
            isStream: true, capabilities: StreamWorkload.capabilities
        ) { StreamWorkload(name: $0, options: $1) },
        WorkloadScheme(
            name: "sqlite", form: "sqlite:PATH", doc: "a SQLite database, while others use it", isPath: true,
            capabilities: SQLiteWorkload.capabilities
        ) { path, _ in SQLiteWorkload(path: path) },
        WorkloadScheme(
            name: "postgres", form: "postgres://USER@HOST/", doc: "a PostgreSQL cluster, by a base backup",
            capabilities: PostgresWorkload.capabilities
        ) { rest, _ in PostgresWorkload(url: "postgres:\(rest)") },
        WorkloadScheme(
            name: "postgresql", form: "postgresql://USER@HOST/", doc: "the same",
            capabilities: PostgresWorkload.capabilities
        ) { rest, _ in PostgresWorkload(url: "postgresql:\(rest)") },
        WorkloadScheme(
            name: "pgdata", form: "pgdata:DIR", doc: "a data directory of PostgreSQL", isPath: true,
            capabilities: PgdataWorkload.capabilities
        ) { PgdataWorkload(path: $0, options: $1) },
        WorkloadScheme(
            name: "command", form: "command:[SOURCE]", doc: "a program that takes a stream back", mayBeBare: true,
            capabilities: CommandTarget.capabilities
        ) { CommandTarget(source: $0, options: $1) },
        WorkloadScheme(
            name: "pgdump", form: "pgdump:postgres://USER@HOST/NAME",
            doc: "a PostgreSQL database, or without NAME all of them, by pg_dump",
            capabilities: DumpWorkload.capabilities
        ) { DumpWorkload(rest: $0, options: $1) },
        WorkloadScheme(
            name: "vault", form: VaultAddress.forms[0], otherForms: Array(VaultAddress.forms.dropFirst()),
            doc: "all versions of the secrets of a vault", capabilities: VaultWorkload.capabilities,
            refusal: { VaultAddress.refusal(of: $0) }
        ) { VaultWorkload(rest: $0, options: $1) },
        WorkloadScheme(
            name: "raft", form: "raft:https://HOST",
            doc: "the storage of Vault or OpenBao on raft, sealed as it is", capabilities: RaftWorkload.capabilities,
            refusal: { RaftWorkload.refusal(of: $0) }
        ) { RaftWorkload(rest: $0, options: $1) },
    ]

    package static func named(_ name: some StringProtocol) -> WorkloadScheme? { all.first { $0.name == name } }

    package static var sources: [WorkloadScheme] { all.filter(\.capabilities.canBeRead) }
    package static var targets: [WorkloadScheme] { all.filter(\.capabilities.canBeRestoredTo) }

    /// `dir:PATH or stdin:NAME`.
    package static var forms: String { list(sources) }
    /// `dir:PATH`.
    package static var targetForms: String { list(targets) }

    private static func list(_ schemes: [WorkloadScheme]) -> String {
        let forms = schemes.flatMap { [$0.form] + $0.otherForms }
        guard forms.count > 1, let last = forms.last else { return forms.first ?? "" }
        return forms.dropLast().joined(separator: ", ") + " or " + last
    }

    /// Why nothing can be meant by a URL of a known scheme, where there is more to say than its forms.
    package static func refusal(of url: String) -> String? {
        guard let colon = url.firstIndex(of: ":") else { return nil }
        return named(url[..<colon])?.refusal(String(url[url.index(after: colon)...]))
    }

    /// The workload of a URL; nil for a scheme that is not in the table, or nothing that can be meant behind it.
    package static func workload(_ url: String, _ options: WorkloadOptions = WorkloadOptions()) -> (any Workload)? {
        guard let colon = url.firstIndex(of: ":"), let scheme = named(url[..<colon]) else { return nil }
        let rest = String(url[url.index(after: colon)...])
        return rest.isEmpty && !scheme.mayBeBare || rest.utf8.contains(0) ? nil : scheme.make(rest, options)
    }
}

/// What the command line or the configuration says besides the URL; each kind takes what concerns it.
package struct WorkloadOptions: Sendable {
    package var exclusions = Exclusions()
    package var oneFileSystem = false
    /// A command whose output is the stream, or one that takes it back.
    package var command: [String] = []
    /// Take a tar stream apart into its members.
    package var unpack = false
    /// A stream of fewer bytes is refused.
    package var minimumSize = ByteCount(1)
    /// Where tablespaces are restored to, by their directories at the source.
    package var tablespaces: [String: String] = [:]
    /// Of a dump of several databases the one that is restored; nil for that which is called as the target.
    package var database: String?
    /// Of a dumped database the tables that are restored, as `schema.name`; empty for all of it.
    package var tables: [String] = []
    /// What stands in the way of a restored database or table is dropped.
    package var replaces = false
    /// Owners and rights are restored too.
    package var restoresOwners = true
    /// What opens the vault of a `vault:` URL.
    package var vaultOpener: any VaultOpener = NoVaultOpener()
    /// Of a snapshot of a vault what is restored, and over what.
    package var secrets = SecretSelection()

    package init() {}
}
