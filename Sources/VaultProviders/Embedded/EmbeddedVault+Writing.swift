// Putting versions into an embedded vault, and changing them.

import GRDB
import Primitives
import SecretVaults

/// What becomes of a secret's rows in one transaction.
private struct RowChanges {
    /// Nil removes the secret.
    var secret: StoredSecret?
    /// Values to write, by order.
    var values: [UInt64: [UInt8]] = [:]
    /// Orders of values that are no longer there.
    var gone: [UInt64] = []
}

extension EmbeddedVault {
    package func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try check(put)
        let now = clock.now()
        let salt = try entropy.bytes32()
        let (version, isPruned) = try database.write { database -> (SecretVersion, Bool) in
            let before = try self.secret(database, put.name)
            if let done = try self.repeated(database, put, before) { return (done.version(at: now), false) }
            var secret = before ?? StoredSecret(name: put.name, created: now)
            try secret.expect(put)
            let stored = try secret.append(put, salt: salt, at: now)
            let place = VaultKeys.Place.value(self.keys.tag(of: put.name), stored.order)
            var changes = RowChanges()
            changes.values[stored.order] = try SealedValue.seal(put.value, self.keys, place, salt)
            if let limit = secret.attributes.limits.maximumVersions { changes.gone = secret.prune(to: limit) }
            guard secret.versions.count <= SecretBounds.versions else {
                throw HoldfastError(
                    .limitExceeded, "the secret \(put.name) has \(SecretBounds.versions) versions",
                    hint: "Set its limit of versions, so that old ones go.")
            }
            changes.secret = secret
            try self.store(database, put.name, changes)
            return (stored.version(at: now), !changes.gone.isEmpty)
        }
        if isPruned { try database.scrub() }
        return version
    }

    package func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        if case .attributes(let attributes) = change { try check(attributes, name) }
        if case .versionAttributes(let attributes, _) = change { try check(attributes, of: name) }
        if case .keepVersions(let least) = change {
            try check(SecretAttributes(limits: SecretLimits(maximumVersions: least)), name)
        }
        let now = clock.now()
        let leaves = try database.write { database -> Bool in
            var changes = RowChanges()
            if var secret = try self.secret(database, name) {
                let before = secret
                if change == .remove(.permanent) {
                    changes.gone = secret.versions.map(\.order)
                } else {
                    changes.gone = try secret.apply(change, at: now)
                    guard secret != before else { return false }
                    secret.changed = now
                    changes.secret = secret
                }
            } else {
                guard case .attributes(let attributes) = change else { throw HoldfastError.secretNotFound(name) }
                changes.secret = StoredSecret(name: name, created: now)
                changes.secret?.attributes = attributes
            }
            try self.store(database, name, changes)
            return !changes.gone.isEmpty
        }
        if leaves { try database.scrub() }
    }

    /// Writes rows and the root that goes with them. Numbers wrap, since an old root that was put under new rows is
    /// damage that the next opening finds, and no reason to trap.
    private func store(_ database: Database, _ name: SecretName, _ changes: RowChanges) throws {
        let tag = keys.tag(of: name)
        let key = Blob(tag.bytes.array)
        var root = try root(database)
        if let old = try sealedRecord(database, tag) {
            root.subtract(keys.share(of: tag, old))
            root.secrets &-= 1
        }
        if let secret = changes.secret {
            let plain = secret.encoded()
            let sealed = try keys.sealSalted(plain.span.bytes, at: .record(tag), entropy)
            guard sealed.count <= StoredSecret.maximumSize else {
                throw HoldfastError(
                    .limitExceeded, "the record of the secret \(name) is over 64 MiB", hint: "Remove tags or versions.")
            }
            root.add(keys.share(of: tag, sealed))
            root.secrets &+= 1
            try database.execute(sql: "INSERT OR REPLACE INTO secrets VALUES (?, ?)", arguments: [key, Blob(sealed)])
        } else {
            try database.execute(sql: "DELETE FROM secrets WHERE tag = ?", arguments: [key])
        }
        for (order, sealed) in changes.values {
            try database.execute(
                sql: "INSERT INTO secret_values VALUES (?, ?, ?)",
                arguments: [key, Int64(clamping: order), Blob(sealed)])
        }
        for order in changes.gone {
            try database.execute(
                sql: "DELETE FROM secret_values WHERE tag = ? AND place = ?",
                arguments: [key, Int64(clamping: order)])
        }
        root.generation &+= 1
        try database.execute(sql: "UPDATE vault SET root = ?", arguments: [Blob(try sealed(root))])
    }

    /// The version that an earlier call with the same id and value has put.
    private func repeated(_ database: Database, _ put: SecretPut, _ before: StoredSecret?) throws -> StoredVersion? {
        guard let before, let id = put.id, let index = before.index(of: id) else { return nil }
        let stored = before.versions[index]
        guard stored.destroyed == nil, try value(database, put.name, stored).equals(put.value) else {
            throw HoldfastError.secretConflict(put.name, "version \(id) is there with another value")
        }
        return stored
    }

    // MARK: Bounds

    private func check(_ put: SecretPut) throws(HoldfastError) {
        guard put.value.bytes.count <= capabilities.maximumValue.bytes else {
            throw HoldfastError(
                .limitExceeded, "a value of \(put.value.bytes.count) bytes for the secret \(put.name)",
                hint: "A value has at most \(capabilities.maximumValue) here.")
        }
        if case .labels(let labels) = put.staging, labels.count > capabilities.maximumLabels {
            throw HoldfastError(
                .limitExceeded, "\(labels.count) labels for one version of the secret \(put.name)",
                hint: "A version has at most \(capabilities.maximumLabels).")
        }
        try check(put.attributes, of: put.name)
    }

    private func check(_ attributes: SecretVersionAttributes, of name: SecretName) throws(HoldfastError) {
        try check(attributes.tags, name)
        try check(attributes.contentType ?? "", SecretBounds.tagBytes, "content type", name)
    }

    private func check(_ attributes: SecretAttributes, _ name: SecretName) throws(HoldfastError) {
        try check(attributes.tags, name)
        try check(attributes.description ?? "", SecretBounds.descriptionBytes, "description", name)
        let limits = attributes.limits
        guard limits.maximumVersions.map({ (1...SecretBounds.versions).contains($0) }) != false,
            limits.deletesAfter.map({ $0 >= .seconds(1) && $0 <= .seconds(1 << 32) }) != false
        else {
            throw HoldfastError(
                .limitExceeded, "limits of the secret \(name) that can't be kept",
                hint: "Keep 1 to \(SecretBounds.versions) versions; delete after a second at least.")
        }
    }

    private func check(_ tags: SecretTags, _ name: SecretName) throws(HoldfastError) {
        guard tags.count <= SecretBounds.tags else {
            throw HoldfastError(
                .limitExceeded, "\(tags.count) tags for the secret \(name)", hint: "Give it \(SecretBounds.tags).")
        }
        for tag in tags.tags {
            try check(tag.key, SecretBounds.tagBytes, "key of a tag", name)
            try check(tag.value, SecretBounds.tagBytes, "tag", name)
        }
    }

    private func check(_ text: String, _ limit: Int, _ what: String, _ name: SecretName) throws(HoldfastError) {
        guard text.utf8.count <= limit else {
            throw HoldfastError(
                .limitExceeded, "a \(what) of \(text.utf8.count) bytes for the secret \(name)",
                hint: "It has at most \(limit).")
        }
    }
}
