// The place beside a secret where its candidate is in the vault before it becomes current.

import Primitives
import SecretVaults
import State

/// Where a candidate is staged in a vault, by what the vault has.
///
/// | kind | place | how it goes |
/// |---|---|---|
/// | embedded, AWS | a version of the secret with the label `pending`, whose id is the rotation's | the label is taken away |
/// | KV 2 | the secret `_rotate/ID` | removed for good |
/// | Azure | the secret `NAME--pending` | its version is disabled, since a removed name could not be used again |
/// | KV 1 | none: the journal alone | |
enum SidePlace: Sendable, Hashable {
    case label(StagingLabel)
    case path
    case neighbour
    case none

    init(_ capabilities: VaultCapabilities) {
        if let stages = capabilities.stages {
            self = .label(stages.pending)
            return
        }
        switch capabilities.kind {
        case .keyValue2: self = .path
        case .azure: self = .neighbour
        case .keyValue1, .embedded, .aws: self = .none
        }
    }
}

extension RotationEngine {
    var side: SidePlace { SidePlace(vault.capabilities) }

    /// Targets get a value that the vault holds as well; and where the vault compares moves of labels alone, the value
    /// is put first and then made current.
    func usesSide(_ work: RotationWork) -> Bool {
        guard side != .none else { return false }
        return work.target != nil || vault.capabilities.comparison == .creationAtomic
    }

    func sideName(_ work: RotationWork) -> SecretName {
        switch side {
        case .label, .none: work.name
        case .path: SecretName(validated: Array("_rotate/\(work.record.id)".utf8))
        case .neighbour: SecretName(validated: work.name.bytes + Array("--pending".utf8))
        }
    }

    /// The id of the staged version, where the vault lets it be chosen.
    private func sideID(_ work: RotationWork) -> SecretVersionID? {
        let id = SecretVersionID(validated: Array(work.record.id.utf8))
        guard vault.capabilities.takes(id) else { return nil }
        // Of a value that was refused there may be one with the first id already.
        guard work.record.candidates > 1 else { return id }
        return SecretVersionID(validated: Array("\(work.record.id)-\(work.record.candidates)".utf8))
    }

    /// Puts the candidate beside its secret; where it is already, that is seen and nothing is put.
    func putBeside(_ work: RotationWork) throws(HoldfastError) {
        let (name, candidate) = (sideName(work), try candidate(work))
        if work.found == .staged, let known = try staged(name, candidate, work) {
            work.record.side = known.text
            return
        }
        var put = SecretPut(name, candidate, expected: .anything, id: sideID(work))
        if case .label(let pending) = side {
            put.staging = .labels([pending])
            put.attributes = try attributes(work)
        } else if try isRemoved(name) {
            try vault.change(name, .recover)
        }
        if side == .path { put.expected = .absent }
        do throws(HoldfastError) {
            work.record.side = try vault.put(put).id.text
        } catch {
            guard [.writeUnknown, .secretConflict].contains(error.code),
                let known = try staged(name, candidate, work)
            else { throw error }
            work.record.side = known.text
        }
    }

    private func isRemoved(_ name: SecretName) throws(HoldfastError) -> Bool {
        do throws(HoldfastError) {
            return try vault.describe(name).removal != nil
        } catch {
            guard error.code == .secretNotFound else { throw error }
            return false
        }
    }

    /// The version that holds the candidate beside the secret; nil when none does.
    private func staged(
        _ name: SecretName, _ candidate: SecretValue, _ work: RotationWork
    ) throws(HoldfastError) -> SecretVersionID? {
        do throws(HoldfastError) {
            let record = try vault.describe(name)
            let version: SecretVersionID?
            if case .label(let pending) = side {
                version = record.versions.first { $0.labels.contains(pending) }?.id
            } else {
                version = record.current
            }
            guard let version else { return nil }
            let reading = try vault.read(name, version)
            return tools.key.fingerprint(reading.value) == work.record.toFingerprint ? version : nil
        } catch {
            guard [.secretNotFound, .secretDeleted, .secretDisabled, .secretDestroyed].contains(error.code) else {
                throw error
            }
            return nil
        }
    }

    /// Takes away what was staged; what is gone already is no failure.
    func clearSide(_ work: RotationWork) throws(HoldfastError) {
        guard let text = work.record.side else { return }
        let (name, version) = (sideName(work), try SecretVersionID(text))
        do throws(HoldfastError) {
            switch side {
            case .label(let pending):
                let record = try vault.describe(name)
                guard record[version]?.labels.contains(pending) == true else { break }
                try vault.change(name, .label(pending, from: version, to: nil))
            case .path: try vault.change(name, .remove(.permanent))
            case .neighbour: try vault.change(name, .state(.disable, of: version))
            case .none: break
            }
        } catch {
            guard [.secretNotFound, .secretDestroyed].contains(error.code) else { throw error }
        }
        work.record.side = nil
    }

    /// What the new version has of the one before, and whose it is where the vault has tags of versions.
    func attributes(_ work: RotationWork) throws(HoldfastError) -> SecretVersionAttributes {
        let fields = vault.capabilities.fields
        guard !fields.isDisjoint(with: [.contentType, .versionTags, .expires]), let from = work.record.from else {
            return SecretVersionAttributes()
        }
        let record = try vault.describe(work.name)
        let before = record[try SecretVersionID(from)]
        var attributes = SecretVersionAttributes()
        if fields.contains(.contentType) { attributes.contentType = before?.attributes.contentType }
        if fields.contains(.versionTags) {
            attributes.tags = before?.attributes.tags ?? SecretTags()
            // Azure has room for 15.
            if attributes.tags["holdfast.rotation"] != nil || attributes.tags.count <= 13 {
                attributes.tags["holdfast.rotation"] = work.record.id
                attributes.tags["holdfast.fence"] = "\(work.claim.fence)"
            }
        }
        // A version that ended gets a successor that ends as long after its making, and not before its next rotation.
        if fields.contains(.expires), let ends = before?.attributes.expires {
            let length = before?.created.map { ends.since($0) } ?? .zero
            attributes.expires = now + max(length, work.policy.period + work.policy.grace)
        }
        return attributes
    }
}
