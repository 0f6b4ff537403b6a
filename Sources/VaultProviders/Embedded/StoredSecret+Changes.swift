// The rules of an embedded vault, apart from its rows.

import Primitives
import SecretVaults

extension StoredSecret {
    /// - Throws: `.secretConflict`, `.secretDeleted`.
    func expect(_ put: SecretPut) throws(HoldfastError) {
        guard removed == nil else { throw HoldfastError.secretDeleted(name, nil) }
        let current = holder(of: EmbeddedVault.stages.current).map { versions[$0].id }
        switch put.expected {
        case .anything:
            guard attributes.limits.requiresComparison == true else { return }
            throw HoldfastError(
                .secretConflict, "the secret \(name) takes no version without a comparison",
                hint: "Say which version is to be replaced.")
        case .absent:
            guard versions.isEmpty else { throw HoldfastError.secretConflict(name, "it has a version already") }
        case .current(let id):
            guard current == id else {
                throw HoldfastError.secretConflict(
                    name, "its current version is \(current?.text ?? "none"), not \(id)")
            }
        }
    }

    /// - Returns: The new version, which has its labels.
    mutating func append(_ put: SecretPut, salt: Bytes32, at now: Timestamp) throws(HoldfastError) -> StoredVersion {
        var order = lastOrder + 1
        // An id that is a number keeps its place, as the versions of a KV 2 do.
        if let id = put.id, let number = UInt64(id.text), "\(number)" == id.text, number < 1 << 53 {
            order = max(order, number)
        }
        var id = put.id
        while id == nil {
            let own = SecretVersionID(validated: Array("\(order)".utf8))
            if index(of: own) == nil { id = own } else { order += 1 }
        }
        guard let id else { preconditionFailure("the loop has set it") }
        var version = StoredVersion(id: id, order: order, created: put.created ?? now, salt: salt)
        version.attributes = put.attributes
        version.deletionDue = attributes.limits.deletesAfter.map { now + $0 }
        lastOrder = order
        changed = now
        versions.append(version)
        let index = versions.count - 1
        switch put.staging {
        case .current: makeCurrent(index)
        case .labels(let labels):
            if labels.contains(EmbeddedVault.stages.current) { makeCurrent(index) }
            for label in labels where label != EmbeddedVault.stages.current { move(label, to: index) }
        }
        return versions[index]
    }

    /// - Returns: The orders of versions whose values are to go.
    mutating func apply(_ change: SecretChange, at now: Timestamp) throws(HoldfastError) -> [UInt64] {
        switch change {
        case .remove: removed = removed ?? now
        case .recover: removed = nil
        default:
            guard removed == nil else { throw HoldfastError.secretDeleted(name, nil) }
        }
        switch change {
        case .state(let change, let id):
            return try apply(change, to: try changeable(id), at: now)
        case .label(let label, let from, let to):
            try swap(label, from, to)
        case .attributes(let attributes): self.attributes = attributes
        case .keepVersions(let least):
            if let limit = attributes.limits.maximumVersions { attributes.limits.maximumVersions = max(limit, least) }
        case .versionAttributes(let attributes, let id):
            let index = try changeable(id)
            guard versions[index].attributes != attributes else { return [] }
            versions[index].attributes = attributes
            versions[index].changed = now
        case .remove, .recover: break
        }
        return []
    }

    private func changeable(_ id: SecretVersionID) throws(HoldfastError) -> Int {
        _ = try version(id)
        guard let index = index(of: id) else { throw HoldfastError.secretNotFound(name, id) }
        return index
    }

    private mutating func apply(
        _ change: SecretStateChange, to index: Int, at now: Timestamp
    ) throws(HoldfastError) -> [UInt64] {
        if versions[index].destroyed != nil {
            guard change == .destroy else { throw HoldfastError.secretDestroyed(name, versions[index].id) }
            return []
        }
        let before = versions[index]
        var gone: [UInt64] = []
        switch change {
        case .disable: versions[index].isDisabled = true
        case .enable: versions[index].isDisabled = false
        case .softDelete:
            if case .softDeleted = before.state(at: now) { return [] }
            versions[index].deleted = now
        case .undelete:
            guard case .softDeleted = before.state(at: now) else { return [] }
            versions[index].deleted = nil
            versions[index].deletionDue = nil
        case .destroy:
            versions[index].destroyed = now
            versions[index].salt = Bytes32()
            gone = [before.order]
        }
        if versions[index] != before { versions[index].changed = now }
        return gone
    }

    private mutating func swap(
        _ label: StagingLabel, _ from: SecretVersionID?, _ to: SecretVersionID?
    ) throws(HoldfastError) {
        let target: Int?
        if let to { target = try changeable(to) } else { target = nil }
        let holder = holder(of: label)
        if holder == target { return }
        guard holder.map({ versions[$0].id }) == from else {
            let place = holder.map { "version \(versions[$0].id)" } ?? "no version"
            throw HoldfastError.secretConflict(name, "the label \(label) is on \(place)")
        }
        guard label != EmbeddedVault.stages.current else {
            guard let target else {
                throw HoldfastError(
                    .usage, "the label of the current version of the secret \(name) can't be taken away",
                    hint: "Move it to another version.")
            }
            makeCurrent(target)
            return
        }
        move(label, to: target)
        if let target, versions[target].labels.count > 22 {
            throw HoldfastError(
                .limitExceeded, "version \(versions[target].id) of the secret \(name) has 20 labels",
                hint: "Take one away first.")
        }
    }
}
