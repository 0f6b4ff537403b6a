// What a configuration file says, in types.

import Compression
import Primitives
import Repository
import Workloads

/// A file that was read and is good as a whole.
package struct Configuration: Sendable {
    /// The path that it was read from, as it was named.
    package var path: String
    package var repositories: [ConfiguredRepository]
    package var sources: [ConfiguredSource]
    /// `defaults.repository`, else the only one.
    package var defaultRepository: String?
    package var drills: [ConfiguredDrill] = []
    package var notifiers: [ConfiguredNotifier] = []

    package func repository(named name: String) -> ConfiguredRepository? { repositories.first { $0.name == name } }

    package func source(named name: String) -> ConfiguredSource? { sources.first { $0.name == name } }

    /// The source of that name.
    ///
    /// - Throws: `.usage` with the nearest name.
    package func requireSource(named name: String) throws(HoldfastError) -> ConfiguredSource {
        if let source = source(named: name) { return source }
        let nearest = Nearest.word(to: name, among: sources.map(\.name)).map { "; did you mean `\($0)`?" } ?? ""
        throw HoldfastError(
            .usage, "\(path) has no source `\(name)`\(nearest)",
            hint: "Name a source of the file, or give a URL: \(WorkloadScheme.forms).")
    }
}

/// A repository of the file.
package struct ConfiguredRepository: Sendable, Hashable {
    package enum Opening: Sendable, Hashable {
        /// As when there is no file.
        case unsaid
        case password(SecretReference)
        /// A file of 32 bytes.
        case rawKey(path: String)
    }

    package var name: String
    package var location: String
    package var opening = Opening.unsaid
    package var mirrors: [String] = []
    /// Those of the location and the mirrors that were declared so.
    package var offsite: [String] = []
    package var immutable: [String] = []
}

/// A source of the file, with what the defaults add.
package struct ConfiguredSource: Sendable, Hashable {
    package enum Origin: Sendable, Hashable {
        case urls([SourceURL])
        case command(ConfiguredCommand)
    }

    package struct Pattern: Sendable, Hashable {
        package var text: String
        package var position: Position
    }

    /// Whether a text can be the name of a source; URLs and paths cannot.
    package static func isName(_ text: String) -> Bool { TextForm.isName(text) }

    package var name: String
    package var origin: Origin
    /// The name of a repository of the file; nil when the file has none.
    package var repository: String?
    package var owner: String?
    package var tier: String?
    package var dataClass: String?
    package var rpo: Duration?
    package var rto: Duration?
    package var retention: SourceRetention?
    package var opensWith: [SecretReference] = []
    /// Secrets of vaults that open it.
    package var openings: [ConfiguredOpening] = []
    /// What opens the embedded vault that the source is.
    package var vaultPassword: SecretReference?
    package var tags: [String: String] = [:]
    package var excludes: [Pattern] = []
    package var excludeCaches = false
    package var oneFileSystem = false
    package var unpack = false
    package var minSize: ByteCount?
    package var compression: CompressionSetting?
    package var limitRead: ByteCount?
    package var limitWrite: ByteCount?
    package var threads: Int?

    /// Directories, for which exclusions have a meaning.
    package var isTree: Bool {
        if case .urls(let urls) = origin { urls.contains { $0.kind?.capabilities.isTree == true } } else { false }
    }

    /// A dry run can look into it.
    package var canBeEstimated: Bool {
        if case .urls(let urls) = origin {
            urls.allSatisfy { $0.kind?.capabilities.canBeEstimated == true }
        } else {
            false
        }
    }

    /// The source reads standard input, which there is but once.
    package var readsStandardInput: Bool {
        if case .urls(let urls) = origin { urls.contains { $0.scheme == "stdin" } } else { false }
    }

    /// What a snapshot keeps of what was declared; objectives and classes are claims, not measurements.
    package var facts: [String: String] {
        let declared = [
            ("owner", owner), ("tier", tier), ("dataClass", dataClass), ("rpo", rpo?.lengthOfTime),
            ("rto", rto?.lengthOfTime),
        ]
        var facts: [String: String] = [:]
        for (name, value) in declared { if let value { facts["declared.\(name)"] = value } }
        return facts
    }
}

/// A secret of a vault that opens a source.
package struct ConfiguredOpening: Sendable, Hashable {
    /// The name of the source that is the vault.
    package var vault: String
    package var secret: String
    package var field: String?
    package var role: String
    package var database: String
}

extension ConfiguredOpening: CustomStringConvertible {
    package var description: String {
        "\(vault):\(secret)\(field.map { "#\($0)" } ?? "") as \(role) in \(database)"
    }
}

/// A program whose output is backed up, and the one that takes it back.
package struct ConfiguredCommand: Sendable, Hashable {
    package var dump: [String]
    package var restore: [String]?
    /// The name of the file in the snapshot.
    package var file: String

    package init(dump: [String], restore: [String]?, file: String) {
        self.dump = dump
        self.restore = restore
        self.file = file
    }
}

/// What is kept of a source.
package struct SourceRetention: Sendable, Hashable {
    package var policy: RetentionPolicy
    package var zone: String
}
