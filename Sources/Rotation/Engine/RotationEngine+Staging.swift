// Up to the candidate: what is there, that it is kept, and the new value where it can't be lost.

import Primitives
import SecretVaults
import State

extension RotationEngine {
    // MARK: Preflight

    /// Looks at each secret, reads its value and asks its target; changes nothing, so that it is simply made again.
    func preflight(_ works: [RotationWork]) throws(HoldfastError) {
        let works = try begin(RotationState.preflight.rawValue, nil, works)
        for work in works {
            do throws(HoldfastError) {
                try look(work)
            } catch {
                work.error = error
            }
        }
        try loadCurrent(works)
        for work in works where work.isActive && work.error == nil {
            do throws(HoldfastError) {
                try tools.cancellation.check()
                guard let current = work.current else { throw .secretNotFound(work.name) }
                work.record.fromFingerprint = tools.key.fingerprint(current)
                guard let target = work.target else { continue }
                try requireRights(work)
                work.record.notes.merge(try target.preflight(current)) { $1 }
            } catch {
                work.error = error
            }
        }
        try end(.preflight, works)
    }

    private func look(_ work: RotationWork) throws(HoldfastError) {
        let record = try vault.describe(work.name)
        guard record.removal == nil else { throw .secretDeleted(work.name, nil) }
        guard let current = record.current else { throw .secretNotFound(work.name) }
        if let version = record[current], version.state != .live {
            throw version.state == .disabled
                ? .secretDisabled(work.name, current) : .secretDeleted(work.name, current)
        }
        work.record.from = current.text
        work.record.fromSince = work.standing.succeeded ?? record[current]?.created?.nanoseconds
    }

    /// A target is changed only where the vault can be written afterwards.
    private func requireRights(_ work: RotationWork) throws(HoldfastError) {
        let found = try vault.preflight([.describe, .read, .write], under: work.name.text)
        guard let missing = found.missing.first else { return }
        throw .vaultAccessDenied(vault.location, missing.right, path: missing.path)
    }

    /// Reads the values that rotations began with, where they are not in memory.
    func loadCurrent(_ works: [RotationWork]) throws(HoldfastError) {
        let wanted = works.filter { $0.isActive && $0.error == nil && $0.current == nil && $0.record.from != nil }
        guard !wanted.isEmpty else { return }
        var accesses: [SecretAccess] = []
        for work in wanted { accesses.append(SecretAccess(work.name, try from(work))) }
        try vault.announce(.read, accesses)
        for (work, access) in zip(wanted, accesses) {
            do throws(HoldfastError) {
                let reading = try vault.read(access.name, access.version)
                if let known = work.record.fromFingerprint, known != tools.key.fingerprint(reading.value) {
                    throw .secretConflict(work.name, "version \(reading.version) has another value than before")
                }
                work.current = reading.value
            } catch {
                work.error = error
            }
        }
    }

    /// The version to read; nil where there are none to choose from.
    func from(_ work: RotationWork) throws(HoldfastError) -> SecretVersionID? {
        guard vault.capabilities.keepsVersions, let from = work.record.from else { return nil }
        return try SecretVersionID(from)
    }

    // MARK: Snapshot

    /// Sees to it that a snapshot holds what is changed, and what the next put would push out.
    func keep(_ works: [RotationWork]) throws(HoldfastError) {
        let works = try begin(RotationState.snapshot.rawValue, .snapshot, works)
        try loadCurrent(works)
        var wanted: [(work: RotationWork, version: VersionToKeep)] = []
        for work in works where work.isActive && work.error == nil {
            do throws(HoldfastError) {
                wanted += try versions(work).map { (work, $0) }
            } catch {
                work.error = error
            }
        }
        do throws(HoldfastError) {
            let kept = try tools.keeper.keep(wanted.map(\.version))
            for (wish, result) in zip(wanted, kept) {
                do throws(HoldfastError) {
                    let kept = try result.get()
                    if wish.version.value != nil { wish.work.record.kept = kept }
                } catch {
                    wish.work.error = error
                }
            }
        } catch {
            for wish in wanted where wish.work.error == nil { wish.work.error = error }
        }
        try end(.snapshot, works)
    }

    /// The version that is replaced, and the one that the next put pushes out by the secret's limit.
    private func versions(_ work: RotationWork) throws(HoldfastError) -> [VersionToKeep] {
        let record = try vault.describe(work.name)
        guard let text = work.record.from, let current = work.current else { throw .secretNotFound(work.name) }
        let from = try SecretVersionID(text)
        var versions = [
            VersionToKeep(name: work.name, version: from, created: record[from]?.created, value: current)
        ]
        guard let limit = record.attributes.limits.maximumVersions, record.versions.count >= limit else {
            return versions
        }
        let pushed = record.versions.first { version in
            if case .destroyed = version.state { return false }
            return version.labels.isEmpty
        }
        if let pushed, pushed.id != from {
            versions.append(
                VersionToKeep(name: work.name, version: pushed.id, created: pushed.created, value: nil))
        }
        return versions
    }

    // MARK: Staging

    /// Makes the new values and seals them into the journal, all in one write; then puts those of targets beside their
    /// secrets in the vault.
    func stage(_ works: [RotationWork]) throws(HoldfastError) {
        let works = try begin(RotationState.staged.rawValue, .staged, works)
        try loadCurrent(works)
        var updates: [RotationUpdate] = []
        for work in works where work.isActive && work.error == nil {
            do throws(HoldfastError) {
                try tools.cancellation.check()
                if let sealed = try makeCandidate(work) {
                    work.claim.candidate = sealed
                    var update = RotationUpdate(
                        work.record, fence: work.claim.fence, steps: [.init("candidate", .done, at: now)])
                    update.candidate = .sealed(sealed)
                    updates.append(update)
                }
            } catch {
                work.error = error
            }
        }
        if !updates.isEmpty { try write(updates, of: works) }
        let beside = works.filter { $0.isActive && $0.error == nil && usesSide($0) }
        if !beside.isEmpty { try vault.announce(.write, beside.map { SecretAccess(sideName($0), nil) }) }
        for work in beside {
            do throws(HoldfastError) {
                try tools.cancellation.check()
                try putBeside(work)
            } catch {
                work.error = error
            }
        }
        try end(.staged, works)
    }

    /// - Returns: The sealed candidate when it was made now; nil when it was there already.
    private func makeCandidate(_ work: RotationWork) throws(HoldfastError) -> [UInt8]? {
        if try loadCandidate(work) { return nil }
        guard let current = work.current else { throw .secretNotFound(work.name) }
        let value: SecretValue
        if let given = work.candidate {
            value = given
        } else {
            let fresh = try work.policy.generator.make(tools.programs, entropy: tools.entropy)
            let forms = vault.capabilities.forms
            if let target = work.target {
                value = try target.compose(current, with: fresh, forms: forms, notes: &work.record.notes)
            } else {
                value = try ValueDocument.replacing(work.policy.place, of: current, with: fresh, forms: forms)
            }
        }
        let fingerprint = tools.key.fingerprint(value)
        guard fingerprint != work.record.fromFingerprint, !work.standing.compromised.contains(fingerprint) else {
            throw HoldfastError(
                .configuration, "the new value of \(work.name) is one that it had before",
                hint: "Let the generator make a new value each time.")
        }
        guard UInt64(value.bytes.count) <= vault.capabilities.maximumValue.bytes else {
            throw HoldfastError(
                .limitExceeded, "the new value of \(work.name) is too large for this vault",
                hint: "Let the generator make a shorter one.")
        }
        work.candidate = value
        work.record.candidates += 1
        work.record.toFingerprint = fingerprint
        return try tools.key.seal(
            value, for: work.record.id, of: work.record.secret.name, at: work.record.secret.vault, tools.entropy)
    }

    /// Opens the candidate of the journal where there is one.
    func loadCandidate(_ work: RotationWork) throws(HoldfastError) -> Bool {
        guard let sealed = work.claim.candidate else { return false }
        guard work.candidate == nil || work.record.toFingerprint == nil else { return true }
        let value = try tools.key.open(
            sealed, for: work.record.id, of: work.record.secret.name, at: work.record.secret.vault)
        guard tools.key.fingerprint(value) == work.record.toFingerprint else {
            throw HoldfastError(
                .corruptObject, "the candidate of \(work.name) is another one than the journal tells of",
                hint: "Give the rotation up with `holdfast secrets rollback`.")
        }
        work.candidate = value
        return true
    }

    /// The candidate, from memory or from the journal.
    func candidate(_ work: RotationWork) throws(HoldfastError) -> SecretValue {
        if work.candidate == nil { _ = try loadCandidate(work) }
        guard let candidate = work.candidate else {
            throw HoldfastError(
                .corruptObject, "the journal has no candidate for \(work.name)",
                hint: "Give the rotation up with `holdfast secrets rollback`.")
        }
        return candidate
    }
}
