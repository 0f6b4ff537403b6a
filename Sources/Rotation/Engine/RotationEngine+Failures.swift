// What becomes of a rotation whose step failed.

import Primitives
import State

extension RotationEngine {
    /// What a failure asks for.
    private enum Remedy {
        /// Nothing is known to be wrong with the rotation itself.
        case leave
        case anotherValue
        case operatorNeeded
        case wait
    }

    private static func remedy(_ error: HoldfastError, in state: String) -> Remedy {
        let targets = [RotationState.applied.rawValue, RotationState.verified.rawValue]
        switch error.code {
        case .interrupted, .leaseLost: return .leave
        case .usage where targets.contains(state): return .anotherValue
        case .usage, .configuration, .secretConflict, .accessDenied, .notPermitted, .vaultAccessDenied,
            .vaultLoginFailed, .wrongKey, .secretNotFound, .secretDeleted, .secretDestroyed, .secretDisabled,
            .secretPruned, .corruptObject, .limitExceeded, .unsupportedFormat, .rotationParked:
            return .operatorNeeded
        default: return .wait
        }
    }

    /// Decides about a rotation after `error`, and gives what is to be written of it.
    func settle(
        _ work: RotationWork, _ state: String, _ error: HoldfastError, at now: Timestamp
    ) throws(HoldfastError) -> RotationUpdate {
        var error = error
        var candidate = RotationUpdate.Candidate.asItIs
        work.record.failure = RotationRecord.Failure(error, at: now)
        switch Self.remedy(error, in: state) {
        case .leave: work.isActive = false
        case .anotherValue where mayHaveAnother(work):
            // The refused value goes; the next one is sealed before anybody sees it.
            work.record.state = .snapshot
            work.record.intent = nil
            work.found = nil
            work.record.toFingerprint = nil
            work.candidate = nil
            work.claim.candidate = nil
            candidate = .erased
            work.error = nil
        case .anotherValue, .operatorNeeded: error = park(work, error)
        case .wait:
            work.isActive = false
            work.record.attempts += 1
            guard work.record.attempts < work.policy.retries.attempts else {
                error = park(work, error)
                break
            }
            let bits = try tools.entropy.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let wait = work.policy.retries.wait(
                after: work.record.attempts, random: bits, now: now, expiry: expiry(work))
            work.record.nextAttempt = (now + wait).nanoseconds
        }
        tellAudit(work, state, error)
        var update = RotationUpdate(
            work.record, fence: work.claim.fence,
            steps: [.init(state, .failed, at: now, note: "\(error.code.rawValue): \(error.message.prefix(500))")])
        update.candidate = candidate
        return update
    }

    private func mayHaveAnother(_ work: RotationWork) -> Bool {
        work.record.trigger != .rollback && work.record.candidates < RotationRetries.maximumCandidates
    }

    /// By when it should be over: the value's own age, and never the past.
    private func expiry(_ work: RotationWork) -> Timestamp? {
        work.record.fromSince.map { Timestamp(nanoseconds: $0) + work.policy.period + RotationPlanner.tolerance }
    }

    @discardableResult
    func park(_ work: RotationWork, _ error: HoldfastError) -> HoldfastError {
        work.isActive = false
        work.record.isParked = true
        let told = HoldfastError(
            .rotationParked,
            "the rotation of \(work.record.secret.name) waits for an operator in the state "
                + "\(work.record.state.rawValue): \(error.message)",
            hint: error.hint.isEmpty ? "See `holdfast secrets history`." : error.hint,
            context: error.context.map { ($0.key, $0.value) }, cause: error)
        work.error = told
        return told
    }

    /// That it failed is told after the access, which is over: where that can't be written the journal has it.
    private func tellAudit(_ work: RotationWork, _ state: String, _ error: HoldfastError) {
        var entry = Self.entry(state, work.record)
        switch error.code {
        case .accessDenied, .notPermitted, .vaultAccessDenied, .vaultLoginFailed, .wrongKey: entry.outcome = .denied
        default: entry.outcome = .failed
        }
        entry.code = error.code.rawValue
        entry.about = work.audited > 0 ? work.audited : nil
        _ = try? tools.audit.append([entry])
    }
}
