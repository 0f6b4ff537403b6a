// The targets, the promotion, and what comes after it.

import Primitives
import SecretVaults
import State

/// Whom the current version of a secret is of.
enum VaultPointer: Sendable, Hashable {
    /// The rotation has not moved it.
    case before(SecretVersionID)
    case ours(SecretVersionID)
    case somebodyElse
}

extension RotationEngine {
    // MARK: Targets

    /// After a crash the target is asked first: a value that it accepts was applied.
    func apply(_ work: RotationWork) throws(HoldfastError) {
        guard let target = work.target, let current = work.current else { return }
        let candidate = try candidate(work)
        if work.found == .applied || work.record.trigger == .rollback, try target.accepts(candidate) == .accepted {
            return
        }
        try target.apply(candidate, over: current)
    }

    func verify(_ work: RotationWork) throws(HoldfastError) {
        try work.target?.verify(try candidate(work), notes: &work.record.notes)
    }

    func retire(_ work: RotationWork) throws(HoldfastError) {
        guard let target = work.target, let old = work.current else { return }
        try target.retire(
            old, keeping: try candidate(work), urgent: work.record.isEmergency, notes: &work.record.notes)
    }

    // MARK: Promotion

    func promote(_ works: [RotationWork]) throws(HoldfastError) {
        let works = try begin(RotationState.promoted.rawValue, .promoted, works)
        let ready = works.filter { $0.error == nil }
        if !ready.isEmpty { try vault.announce(.write, ready.map { SecretAccess($0.name, putID($0)) }) }
        var renewed = tools.clock.uptime()
        for work in ready {
            do throws(HoldfastError) {
                try tools.cancellation.check()
                if tools.clock.uptime() - renewed > tools.lease / 4 {
                    // Many puts of a slow vault: the claims are to outlast them.
                    let held = ready.filter(\.isActive)
                    try write(held.map { RotationUpdate($0.record, fence: $0.claim.fence) }, of: held)
                    renewed = tools.clock.uptime()
                }
                guard work.isActive else { continue }
                try promoted(work, as: try move(work))
                boundary?("done promoted")
            } catch {
                work.error = error
            }
        }
        try end(.promoted, works)
    }

    /// The id of the version that a put makes current.
    func putID(_ work: RotationWork) -> SecretVersionID? {
        let id = SecretVersionID(validated: Array(work.record.id.utf8))
        return vault.capabilities.takes(id) ? id : nil
    }

    private func promoted(_ work: RotationWork, as version: SecretVersionID) throws(HoldfastError) {
        let now = now
        work.record.to = version.text
        work.record.promoted = now.nanoseconds
        work.record.retireAt =
            work.record.isEmergency ? now.nanoseconds : (now + work.policy.grace).nanoseconds
        var standing = work.standing
        standing.previousVersion = work.record.from
        standing.previousFingerprint = work.record.fromFingerprint
        standing.version = version.text
        standing.fingerprint = work.record.toFingerprint
        // A value of before is as old as it was.
        if work.record.trigger == .rollback {
            standing.notBefore = (now + Self.restAfterBack).nanoseconds
        } else {
            standing.succeeded = now.nanoseconds
            standing.notBefore = nil
        }
        if work.record.isEmergency, let known = work.record.fromFingerprint {
            standing.compromised = Array(
                (standing.compromised.filter { $0 != known } + [known]).suffix(SecretStanding.maximumCompromised))
        }
        work.standing = standing
    }

    /// Makes the candidate the current version, by one compare and swap.
    private func move(_ work: RotationWork) throws(HoldfastError) -> SecretVersionID {
        let comparison = vault.capabilities.comparison
        var expected: SecretVersionID?
        // Looked at first after a crash, and where the vault itself does not compare.
        if work.found == .promoted || comparison != .atomic {
            switch try pointer(work) {
            case .ours(let version): return version
            case .before(let version): expected = version
            case .somebodyElse: throw Self.conflict(work)
            }
        }
        do throws(HoldfastError) {
            let version = try swap(work, expected)
            guard comparison != .atomic || work.record.side != nil else { return version }
        } catch {
            guard error.code == .secretConflict || error.code == .writeUnknown else { throw error }
            switch try pointer(work) {
            case .ours(let version): return version
            case .somebodyElse: throw Self.conflict(work)
            case .before: throw error.code == .secretConflict ? Self.conflict(work) : error
            }
        }
        // What the vault does not compare is looked at afterwards as well.
        guard case .ours(let version) = try pointer(work) else { throw Self.conflict(work) }
        return version
    }

    private func swap(
        _ work: RotationWork, _ expected: SecretVersionID?
    ) throws(HoldfastError) -> SecretVersionID {
        let from: SecretVersionID?
        if let expected {
            from = expected
        } else {
            from = try work.record.from.map { (id) throws(HoldfastError) in try SecretVersionID(id) }
        }
        if let side = work.record.side, let stages = vault.capabilities.stages {
            let version = try SecretVersionID(side)
            try vault.change(work.name, .label(stages.current, from: from, to: version))
            return version
        }
        var put = SecretPut(work.name, try candidate(work), expected: .anything, id: putID(work))
        if vault.capabilities.keepsVersions, let from { put.expected = .current(from) }
        put.attributes = try attributes(work)
        return try vault.put(put).id
    }

    /// Whose version is the current one; values are compared by their fingerprints, since ids are the vault's own.
    func pointer(_ work: RotationWork) throws(HoldfastError) -> VaultPointer {
        let record = try vault.describe(work.name)
        guard let current = record.current else { return .somebodyElse }
        if vault.capabilities.keepsVersions, current.text == work.record.from { return .before(current) }
        let reading = try vault.read(work.name, vault.capabilities.keepsVersions ? current : nil)
        switch tools.key.fingerprint(reading.value) {
        case work.record.toFingerprint: return .ours(reading.version)
        // The same value under another id, as after a restore of the vault.
        case work.record.fromFingerprint: return .before(reading.version)
        default: return .somebodyElse
        }
    }

    static func conflict(_ work: RotationWork) -> HoldfastError {
        .secretConflict(
            work.name, "its current version is neither \(work.record.from ?? "the one of before") nor the new one")
    }

    // MARK: Grace and end

    /// The grace is an instant in the journal; nobody sleeps.
    func enterGrace(_ works: [RotationWork]) throws(HoldfastError) {
        try end(.grace, works)
    }

    /// Clears what was staged, and erases the candidate.
    func finish(_ works: [RotationWork]) throws(HoldfastError) {
        let works = try begin(RotationState.done.rawValue, .done, works)
        for work in works {
            do throws(HoldfastError) {
                try clearSide(work)
                work.record.ended = now.nanoseconds
            } catch {
                work.error = error
            }
        }
        try end(.done, works)
    }
}
