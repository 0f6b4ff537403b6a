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
            let limits = try defaults()
            found.leastVersions = limits.maximumVersions
            found.defaults = limits
            found.defaults.maximumVersions = limits.maximumVersions ?? Self.serversDefault
        } catch  where error.code == .vaultAccessDenied {
            found.notes.append("the mount's own limits can't be told without the right to read \(mount)/config")
        }
        return found
    }

    /// What the mount sets; its `max_versions` 0 is nil.
    private func defaults() throws(HoldfastError) -> SecretLimits {
        var limits = SecretLimits()
        let answer = try client.send(HashiCorpCall(HashiCorpPath("\(client.mount)/config"), .describe))
        guard answer.status == 200 else { throw client.session.senseless("no configuration of the mount") }
        try client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "max_versions":
                    let number = try scanner.integer()
                    limits.maximumVersions = number > 0 ? Int(number) : nil
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

    /// What `max_versions` 0 of the mount stands for.
    private static let serversDefault = 10

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
        var walk = FolderWalk(prefix: prefix, limit: limit) { (folder, after, limit) throws(HoldfastError) in
            if self.listing.withLock({ $0 }) == .detailed {
                if let part = try self.detailed(folder, after, limit) { return part }
                self.listing.withLock { $0 = .plain }
            }
            return try self.client.names(in: "metadata/", folder, after: after)
        }
        return try walk.page(after: mark)
    }

    /// Nil where the server has no such listing, or the login may not use it.
    private func detailed(
        _ folder: [UInt8], _ after: [UInt8], _ limit: Int
    ) throws(HoldfastError) -> FolderWalk.Part? {
        let path = HashiCorpPath(
            "\(client.mount)/detailed-metadata/" + String(decoding: folder, as: UTF8.self),
            query: [("list", "true"), ("limit", "\(limit)"), ("after", String(decoding: after, as: UTF8.self))])
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try client.session.send(HashiCorpCall(path, .list, largestAnswer: HashiCorpAnswers.list))
        } catch  where [.vaultAccessDenied, .vaultUnavailable].contains(error.code) && error.retry == .never {
            return nil
        }
        // Nothing more behind those that came. Where there is nothing at all the plain listing has the word.
        if client.session.isAbsent(answer) {
            return after.isEmpty ? try client.names(in: "metadata/", folder, after: after) : FolderWalk.Part()
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
                        records[name] = try SecretRecord(name: name, &scanner, now: now)
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
}

extension KeyValueClient {
    /// Names in a folder: all of HashiCorp Vault's, and of OpenBao's as many as a policy lets it give at once.
    func names(
        in area: String, _ folder: [UInt8], after: [UInt8]
    ) throws(HoldfastError) -> FolderWalk.Part {
        let path = HashiCorpPath(
            "\(mount)/\(area)" + String(decoding: folder, as: UTF8.self),
            query: [("list", "true")] + (after.isEmpty ? [] : [("after", String(decoding: after, as: UTF8.self))]))
        let answer = try send(HashiCorpCall(path, .list, largestAnswer: HashiCorpAnswers.list))
        if answer.status == 404 { return FolderWalk.Part() }
        guard answer.status == 200 else { throw session.senseless("no listing of \(path)") }
        var entries: [FolderWalk.Entry] = []
        try session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                guard key == "keys" else {
                    try scanner.skip()
                    return
                }
                if try scanner.null() { return }
                try scanner.elements { (scanner) throws(HoldfastError) in
                    entries.append(FolderWalk.Entry(name: Array(try scanner.string().utf8)))
                }
            }
        }
        return try part(entries, after: after)
    }

    /// Puts entries in order and drops those that were seen.
    ///
    /// Until nothing new comes there may be more, however few came: policies of OpenBao bound a page
    /// (`pagination_limit`), and take names out of it after it was cut (`list_scan_response_keys_filter_path`).
    func part(_ entries: [FolderWalk.Entry], after: [UInt8]) throws(HoldfastError) -> FolderWalk.Part {
        for entry in entries where entry.name.dropLast().contains(UInt8(ascii: "/")) {
            throw session.senseless("a listing of one folder with names of another")
        }
        let rest = entries.filter { after.lexicographicallyPrecedes($0.name) }
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }
        return FolderWalk.Part(entries: rest, hasMore: !rest.isEmpty)
    }

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
