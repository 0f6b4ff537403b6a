// An audit log in memory, for tests of what must tell it of its accesses.

import Primitives
import State
import Synchronization

/// Keeps records for as long as it lives; chained as the log on disk is.
package final class MemoryAuditTrail: AuditTrail {
    private let state = Mutex<(records: [AuditRecord], refusal: HoldfastError?)>(([], nil))
    private let actor: AuditActor
    private let clock: any Primitives.Clock

    package init(actor: AuditActor, clock: any Primitives.Clock) {
        self.actor = actor
        self.clock = clock
    }

    package var records: [AuditRecord] { state.withLock { $0.records } }

    /// From now on every append fails with `error`; nil lets them succeed again.
    package func refuse(with error: HoldfastError?) { state.withLock { $0.refusal = error } }

    package func append(_ entries: [AuditEntry]) throws(HoldfastError) -> UInt64 {
        precondition(!entries.isEmpty && entries.count <= AuditLimits.group, "a group is bounded")
        let now = clock.now()
        return try state.withLock { (state) throws(HoldfastError) in
            if let refusal = state.refusal { throw refusal }
            let first = UInt64(state.records.count) + 1
            for entry in entries {
                state.records.append(
                    AuditRecord(
                        log: Bytes16(), sequence: UInt64(state.records.count) + 1, time: now, actor: actor,
                        entry: entry, previous: state.records.last?.digest ?? Bytes32()))
            }
            return first
        }
    }

    package func head() throws(HoldfastError) -> AuditHead? {
        state.withLock { state in
            state.records.last.map { AuditHead(log: $0.log, count: $0.sequence, digest: $0.digest) }
        }
    }
}
