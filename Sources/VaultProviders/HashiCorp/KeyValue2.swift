// KV 2 of Vault and OpenBao: reading.

import Primitives
import SecretVaults
import Synchronization

/// A mount of the versioned store of keys and values.
///
/// A value is the JSON object that the server sends, byte for byte. The server itself writes objects anew: it sorts
/// keys, and rounds numbers to 53 bits.
package final class KeyValue2: SecretVault {
    package let capabilities: VaultCapabilities
    package var location: String { client.location }
    let client: KeyValueClient

    private let walks: FolderWalks
    /// How names are listed, which the first listing finds out.
    private let listing = Mutex(Listing.detailed)

    private enum Listing {
        /// OpenBao's `detailed-metadata`: names with their records, from anywhere in a folder.
        case detailed
        /// Names alone, a folder at once.
        case plain
    }

    init(_ client: KeyValueClient, concurrency: Int) {
        self.client = client
        walks = FolderWalks(concurrency: concurrency)
        capabilities = VaultCapabilities(
            kind: .keyValue2, nameRule: .path, maximumNameBytes: SecretName.maximumCount,
            maximumValue: SecretValue.maximumCount, forms: [.fields], fields: [.secretTags, .limits],
            comparison: .atomic, stateChanges: [.softDelete, .undelete, .destroy], removals: [.permanent],
            concurrency: concurrency)
    }

    // MARK: - Looking

    package func preflight(
        _ rights: Set<VaultRight>, under prefix: String
    ) throws(HoldfastError) -> VaultPreflight {
        let mount = client.mount
        var needed: [(right: VaultRight, path: String, capability: String)] = []
        for right in rights {
            switch right {
            case .list: needed.append((right, "\(mount)/metadata/\(prefix)", "list"))
            case .describe: needed.append((right, "\(mount)/metadata/\(prefix)", "read"))
            case .read: needed.append((right, "\(mount)/data/\(prefix)", "read"))
            case .write:
                for area in ["data", "metadata"] {
                    needed += ["create", "update"].map { (right, "\(mount)/\(area)/\(prefix)", $0) }
                }
                // Without the mount's limits a writer cannot know which versions a put pushes out.
                needed.append((right, "\(mount)/config", "read"))
            case .change:
                needed += ["delete", "undelete", "destroy"].map { (right, "\(mount)/\($0)/\(prefix)", "update") }
            // All versions, for good.
            case .remove: needed.append((right, "\(mount)/metadata/\(prefix)", "delete"))
            }
        }
        var found = try client.preflight(needed.sorted { ($0.path, $0.capability) < ($1.path, $1.capability) })
        do throws(HoldfastError) {
            found.defaults = try defaults()
        } catch  where error.code == .vaultAccessDenied {
            found.notes.append("the mount's own limits can't be told without the right to read \(mount)/config")
        }
        return found
    }

    /// What stands where a secret sets nothing: `max_versions` 0 of the mount is ten.
    private func defaults() throws(HoldfastError) -> SecretLimits {
        var limits = SecretLimits(maximumVersions: Self.serversDefault)
        let answer = try client.send(HashiCorpCall(HashiCorpPath("\(client.mount)/config"), .describe))
        guard answer.status == 200 else { throw client.session.senseless("no configuration of the mount") }
        try client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "max_versions":
                    let number = try scanner.integer()
                    limits.maximumVersions = number > 0 ? Int(number) : Self.serversDefault
                case "cas_required": limits.requiresComparison = try scanner.bool()
                case "delete_version_after":
                    let length = Duration(goText: try scanner.string()) ?? .zero
                    limits.deletesAfter = length > .zero ? length : nil
                default: try scanner.skip()
                }
            }
        }
        return limits
    }

    static let serversDefault = 10

    package func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        try client.check(name, capabilities)
        let call = HashiCorpCall(client.path("metadata/", name), .describe, largestAnswer: HashiCorpAnswers.record)
        let answer = try client.send(call)
        if answer.status == 404 { throw .secretNotFound(name) }
        guard answer.status == 200 else { throw client.session.senseless("no metadata of \(name)") }
        let now = answer.time(client.clock)
        var found: SecretRecord?
        try client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                if key == "data" {
                    found = try SecretRecord(name: name, &scanner, now: now)
                } else {
                    try scanner.skip()
                }
            }
        }
        guard let found else { throw client.session.senseless("no metadata of \(name)") }
        return found
    }

    package func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try client.check(name, capabilities)
        if let version, version.number == nil { throw .secretNotFound(name, version) }
        let query = version.map { [("version", $0.text)] } ?? []
        let call = HashiCorpCall(
            client.path("data/", name, query: query), .read, largestAnswer: HashiCorpAnswers.value)
        let answer = try client.naming(name, version) { () throws(HoldfastError) in try client.session.send(call) }
        if client.session.isAbsent(answer) { throw .secretNotFound(name, version) }
        if answer.status == 404, !client.hasData(answer) { throw client.notFound(answer, call) }
        let found = try metadata(in: answer)
        if answer.status == 404 {
            guard let found else { throw .secretNotFound(name, version) }
            throw found.state == .destroyed(at: nil) ? .secretDestroyed(name, found.id) : .secretDeleted(name, found.id)
        }
        guard answer.status == 200, let found, let bytes = try client.value(answer, under: "data") else {
            throw client.session.senseless("no value of \(name)")
        }
        if let version, version != found.id { throw client.session.senseless("another version of \(name)") }
        try client.check(size: bytes, of: name, found.id)
        return SecretReading(version: found.id, value: SecretValue(.fields, bytes))
    }

    private func metadata(in answer: VaultAnswer) throws(HoldfastError) -> SecretVersion? {
        let now = answer.time(client.clock)
        var found: SecretVersion?
        try client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                if key == "metadata", scanner.next() == UInt8(ascii: "{") {
                    found = try SecretVersion(number: 0, &scanner, now: now)
                } else {
                    try scanner.skip()
                }
            }
        }
        return found
    }

    // MARK: - Listing

    package func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        try walks.page(under: prefix, after: mark, limit: limit, client.clock) {
            (folder, after, limit, largest) throws(HoldfastError) in
            if self.listing.withLock({ $0 }) == .detailed {
                if let part = try self.detailed(folder, after, limit, largest) { return part }
                self.listing.withLock { $0 = .plain }
            }
            return try self.client.names(in: "metadata/", folder, after: after, largest)
        }
    }

    /// Nil where the server has no such listing, the login may not use it, or it is too long: secrets of thousands of
    /// versions are asked for one by one.
    private func detailed(
        _ folder: [UInt8], _ after: [UInt8], _ limit: Int, _ largest: ByteCount
    ) throws(HoldfastError) -> FolderWalk.Part? {
        let path = HashiCorpPath(
            "\(client.mount)/detailed-metadata/" + String(decoding: folder, as: UTF8.self),
            query: [("list", "true"), ("limit", "\(limit)"), ("after", String(decoding: after, as: UTF8.self))])
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try client.session.send(HashiCorpCall(path, .list, largestAnswer: largest))
        } catch  where [.vaultAccessDenied, .vaultUnavailable].contains(error.code) && error.retry == .never {
            return nil
        } catch  where error.code == .limitExceeded && largest == HashiCorpAnswers.list {
            return nil
        }
        // Nothing more behind those that came. Where there is nothing at all the plain listing has the word.
        if client.session.isAbsent(answer) {
            return after.isEmpty ? try client.names(in: "metadata/", folder, after: after, largest) : FolderWalk.Part()
        }
        guard answer.status == 200 else { return nil }
        var keys: [String] = []
        var records: [SecretName: SecretRecord] = [:]
        let now = answer.time(client.clock)
        try client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "keys":
                    try scanner.elements { (scanner) throws(HoldfastError) in keys.append(try scanner.string()) }
                case "key_info":
                    if try scanner.null() { return }
                    try scanner.members { (scanner, key) throws(HoldfastError) in
                        // What stands at a folder is of a secret of the same name.
                        guard !key.hasSuffix("/"), scanner.next() == UInt8(ascii: "{") else {
                            try scanner.skip()
                            return
                        }
                        let name = SecretName(validated: folder + Array(key.utf8))
                        records[name] = try Self.record(name, &scanner, now)
                    }
                default: try scanner.skip()
                }
            }
        }
        let entries = keys.map { key in
            let bytes = Array(key.utf8)
            return FolderWalk.Entry(name: bytes, record: records[SecretName(validated: folder + bytes)])
        }
        return try client.part(entries, after: after)
    }

    /// Nil for one that is over the bounds: asked for by itself it fails alone.
    private static func record(
        _ name: SecretName, _ scanner: inout JSONScanner, _ now: Timestamp
    ) throws(HoldfastError) -> SecretRecord? {
        var reader = scanner
        do throws(HoldfastError) {
            let record = try SecretRecord(name: name, &reader, now: now)
            scanner = reader
            return record
        } catch  where error.code == .limitExceeded {
            try scanner.skip()
            return nil
        }
    }
}

extension KeyValueClient {
    /// Says which secret was too large, where an answer is.
    func naming<R>(
        _ name: SecretName, _ version: SecretVersionID?, _ body: () throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try body()
        } catch {
            guard error.code == .limitExceeded else { throw error }
            throw .secretTooLarge(name, version, cause: error)
        }
    }

    func check(size value: SecretBytes, of name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) {
        guard UInt64(value.count) <= SecretValue.maximumCount.bytes else { throw .secretTooLarge(name, version) }
    }
}
