// Looking into an embedded vault.

import GRDB
import Primitives
import SecretVaults

extension EmbeddedVault {
    /// Rows that one page looks at, whatever it finds.
    static let pageRows = 5000
    /// Versions that the records of one page have together, beside those of its last record.
    static let pageVersions = 20_000

    /// Who opened the vault may do everything; the file's owner was checked then.
    package func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        var preflight = VaultPreflight()
        preflight.server = "holdfast embedded vault \(VaultSchema.version)"
        preflight.identity = id.description
        _ = try generation()
        return preflight
    }

    /// The number of writes that there were. A smaller one than somebody remembers tells that the whole file was put
    /// back as it once was.
    package func generation() throws(HoldfastError) -> UInt64 {
        try database.read { try self.root($0).generation }
    }

    package func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        precondition((1...SecretBounds.page).contains(limit), "a page has 1 to \(SecretBounds.page) secrets")
        let now = clock.now()
        let prefix = Array(prefix.utf8)
        return try database.read { database in
            var page = SecretPage()
            var last = mark?.bytes ?? []
            var (examined, versions) = (0, 0)
            let rows = try Row.fetchCursor(
                database, sql: "SELECT tag, record FROM secrets WHERE tag > ? ORDER BY tag", arguments: [Blob(last)])
            while let row = try rows.next() {
                // Something is left, so that this is not the last page.
                if page.secrets.count == limit || examined == Self.pageRows || versions > Self.pageVersions {
                    page.next = VaultPageMark(last)
                    break
                }
                let (tag, sealed) = try self.pair(row)
                last = tag.bytes.array
                examined += 1
                let secret = try self.opened(sealed, tag)
                guard secret.name.bytes.starts(with: prefix) else { continue }
                versions += secret.versions.count
                page.secrets.append(SecretListing(name: secret.name, record: secret.record(at: now)))
            }
            return page
        }
    }

    package func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        let now = clock.now()
        return try database.read { database in
            guard let secret = try self.secret(database, name) else { throw HoldfastError.secretNotFound(name) }
            return secret.record(at: now)
        }
    }

    package func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        let now = clock.now()
        return try database.read { database in
            guard let secret = try self.secret(database, name) else { throw HoldfastError.secretNotFound(name) }
            guard secret.removed == nil else { throw HoldfastError.secretDeleted(name, nil) }
            let stored = try secret.version(version)
            switch stored.state(at: now) {
            case .live: break
            case .disabled: throw HoldfastError.secretDisabled(name, stored.id)
            case .softDeleted: throw HoldfastError.secretDeleted(name, stored.id)
            case .destroyed: throw HoldfastError.secretDestroyed(name, stored.id)
            }
            return SecretReading(version: stored.id, value: try self.value(database, name, stored))
        }
    }

    func value(_ database: Database, _ name: SecretName, _ stored: StoredVersion) throws -> SecretValue {
        let tag = keys.tag(of: name)
        let sealed = try [UInt8].fetch(
            database, sql: "SELECT sealed FROM secret_values WHERE tag = ? AND place = ?",
            arguments: [Blob(tag.bytes.array), Int64(clamping: stored.order)])
        let what = "the value of version \(stored.id) of \(name)"
        return try opening(what) { () throws(HoldfastError) in
            guard let sealed else { throw HoldfastError(.corruptObject, "it is missing") }
            return try SealedValue.open(sealed, keys, .value(tag, stored.order), stored.salt)
        }
    }

    func pair(_ row: Row) throws -> (SecretTag, [UInt8]) {
        guard let tag = row.blob(0), let sealed = row.blob(1), tag.count == 32 else {
            throw HoldfastError(
                .corruptObject, "the vault \(path) has a row that is none", hint: "Restore the vault from a snapshot.")
        }
        return (SecretTag(bytes: Bytes32(tag.span.bytes)), sealed)
    }

    // MARK: Verifying

    /// Opens every record and holds all of them to the root; with `values` also every value that is still there.
    ///
    /// - Throws: `.corruptObject` when a row was changed, added, removed or put back. A vault of which nothing is wrong
    ///   may still be an old copy as a whole.
    package func verify(values: Bool) throws(HoldfastError) {
        try database.read { database in
            let root = try self.root(database)
            var found = VaultRoot()
            found.generation = root.generation
            var places: Int64 = 0
            let rows = try Row.fetchCursor(database, sql: "SELECT tag, record FROM secrets ORDER BY tag")
            while let row = try rows.next() {
                let (tag, sealed) = try self.pair(row)
                found.secrets += 1
                found.add(self.keys.share(of: tag, sealed))
                guard values else { continue }
                let secret = try self.opened(sealed, tag)
                for version in secret.versions where version.destroyed == nil {
                    places += 1
                    _ = try self.value(database, secret.name, version)
                }
            }
            let there = try Int64.fetchOne(database, sql: "SELECT count(*) FROM secret_values") ?? 0
            guard found == root, !values || places == there else {
                throw HoldfastError(
                    .corruptObject,
                    "the vault \(self.path) is damaged or was tampered with: rows are missing, or not the last ones",
                    hint: "Keep the file, find out who wrote to it, and restore the vault from a snapshot.")
            }
        }
    }
}

extension StoredSecret {
    /// The version with this id, or the current one.
    ///
    /// - Throws: `.secretNotFound`, `.secretPruned`.
    func version(_ id: SecretVersionID?) throws(HoldfastError) -> StoredVersion {
        guard let id else {
            guard let index = holder(of: EmbeddedVault.stages.current) else {
                throw HoldfastError(
                    .secretNotFound, "the secret \(name) has no current version",
                    hint: "Name a version, or put one.")
            }
            return versions[index]
        }
        if let index = index(of: id) { return versions[index] }
        // Ids that nobody chose are the order in decimal.
        if let order = UInt64(id.text), "\(order)" == id.text, order > 0, order <= prunedThrough {
            throw HoldfastError.secretPruned(name, id)
        }
        throw HoldfastError.secretNotFound(name, id)
    }
}
