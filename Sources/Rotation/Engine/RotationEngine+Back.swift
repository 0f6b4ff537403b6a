// The way back of a rotation that is under way.

import Primitives
import Sealing
import SecretVaults
import State

extension RotationEngine {
    /// After it went back a secret is left alone for so long, unless an operator says otherwise.
    static let restAfterBack = Duration.seconds(86_400)

    /// Before the promotion what was staged is taken away. After it the old value becomes current again as a new
    /// version, once the target was seen to accept it.
    func goBack(_ works: [RotationWork]) throws(HoldfastError) {
        let name = RotationState.rolledBack.rawValue
        let works = try begin(name, .rolledBack, works)
        for work in works where work.isActive {
            do throws(HoldfastError) {
                try tools.cancellation.check()
                try restore(work)
                boundary?("done \(name)")
                try clearSide(work)
                work.record.ended = now.nanoseconds
            } catch {
                work.error = error
            }
        }
        var updates: [RotationUpdate] = []
        let now = now
        for work in works where work.isActive {
            if let error = work.error {
                updates.append(try settle(work, name, error, at: now))
                continue
            }
            work.record.state = .rolledBack
            work.record.intent = nil
            work.record.isParked = false
            work.record.failure = nil
            var update = RotationUpdate(
                work.record, fence: work.claim.fence,
                steps: [.init(name, .done, at: now, note: work.record.notes["rolledBack"] ?? "")])
            update.candidate = .erased
            update.standing = work.standing
            updates.append(update)
        }
        try write(updates, of: works)
    }

    private func restore(_ work: RotationWork) throws(HoldfastError) {
        // Nothing was changed anywhere yet.
        guard let from = work.record.from, work.record.fromFingerprint != nil else {
            work.record.notes["rolledBack"] = "nothing was changed"
            return
        }
        switch try pointerForBack(work) {
        case .somebodyElse:
            work.record.notes["rolledBack"] = "the current version is somebody else's, and stays"
        case .before(let version) where work.record.state.isPromoted: wentBack(work, to: version)
        case .before:
            try restoreTarget(work, from)
            work.record.notes["rolledBack"] = "before the promotion"
        case .ours(let version): try putOld(work, over: version)
        }
    }

    /// As ``pointer(_:)``, but that a candidate which does not open keeps nobody from giving the rotation up.
    private func pointerForBack(_ work: RotationWork) throws(HoldfastError) -> VaultPointer {
        guard work.record.toFingerprint != nil else {
            return .before(try SecretVersionID(work.record.from ?? ""))
        }
        return try pointer(work)
    }

    /// A target that stopped to accept the value of readers gets it again.
    private func restoreTarget(_ work: RotationWork, _ from: String) throws(HoldfastError) {
        guard let target = work.target,
            work.record.state == .staged || work.record.state == .applied
                || work.record.state == .verified
        else { return }
        let old = try old(work)
        switch try target.accepts(old) {
        case .accepted: return
        case .refused, .unknown: try target.apply(old, over: try candidate(work))
        }
    }

    private func putOld(_ work: RotationWork, over version: SecretVersionID) throws(HoldfastError) {
        guard !work.record.isEmergency, let fingerprint = work.record.fromFingerprint,
            !work.standing.compromised.contains(fingerprint)
        else {
            throw HoldfastError(
                .notPermitted, "the value of \(work.name) before this rotation is compromised, and is not made current",
                hint: "Run `holdfast rotate \(work.name) --emergency --reason TEXT` for a new value.")
        }
        let old = try old(work)
        // Readers get it only when the target is seen to accept it.
        if let target = work.target, try target.accepts(old) == .refused {
            try target.apply(old, over: try candidate(work))
            try target.verify(old, notes: &work.record.notes)
        }
        try vault.announce(.write, [SecretAccess(work.name, nil)])
        var put = SecretPut(work.name, old, expected: .anything, id: backID(work))
        if vault.capabilities.keepsVersions { put.expected = .current(version) }
        put.attributes = try attributes(work)
        let made: SecretVersionID
        do throws(HoldfastError) {
            made = try vault.put(put).id
        } catch {
            guard error.code == .secretConflict || error.code == .writeUnknown,
                case .before(let known) = try pointer(work)
            else { throw error }
            made = known
        }
        guard case .before = try pointer(work) else { throw Self.conflict(work) }
        wentBack(work, to: made)
    }

    private func wentBack(_ work: RotationWork, to version: SecretVersionID) {
        work.record.notes["rolledBack"] = "the old value is version \(version)"
        work.standing.previousVersion = work.record.to
        work.standing.previousFingerprint = work.record.toFingerprint
        work.standing.version = version.text
        work.standing.fingerprint = work.record.fromFingerprint
        work.standing.succeeded = work.record.fromSince
        work.standing.notBefore = (now + Self.restAfterBack).nanoseconds
    }

    private func old(_ work: RotationWork) throws(HoldfastError) -> SecretValue {
        if let current = work.current { return current }
        try loadCurrent([work])
        if let error = work.error {
            work.error = nil
            throw error
        }
        guard let old = work.current else { throw .secretNotFound(work.name) }
        return old
    }

    /// An id for the version that is put on the way back, the same each time.
    private func backID(_ work: RotationWork) -> SecretVersionID? {
        let material = Array("\(work.record.id) back".utf8)
        let digest = Hex.encode(Array(SHA256.digest(material.span.bytes).array.prefix(16)))
        let id = SecretVersionID(validated: Array(digest.utf8))
        return vault.capabilities.takes(id) ? id : nil
    }
}

extension RotationEngine {
    /// The value of an earlier version, to be made current again.
    ///
    /// - Throws: `.notPermitted` for one that is compromised; what the vault says of a version without a value.
    package func valueToGoBackTo(
        _ version: SecretVersionID, of secret: RotatedSecret
    ) throws(HoldfastError) -> SecretValue {
        let name = try SecretName(secret.name)
        let reading = try vault.read(name, vault.capabilities.keepsVersions ? version : nil)
        let standing = try tools.journal.standings()[secret]
        guard standing?.compromised.contains(tools.key.fingerprint(reading.value)) != true else {
            throw HoldfastError(
                .notPermitted, "version \(version) of \(name) has a compromised value, which is not made current again",
                hint: "Run `holdfast rotate \(name) --now` for a new value.")
        }
        return reading.value
    }
}
