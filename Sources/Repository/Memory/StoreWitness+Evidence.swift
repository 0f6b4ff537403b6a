// Chains of evidence only grow: a link that was seen stays.

import Primitives
import Synchronization

/// The numbers of the links that a store shows, by slot.
typealias EvidenceNames = [SlotID: Set<UInt32>]

extension StoreWitness {
    /// Compares a listing with the links that are known.
    ///
    /// - Parameter again: Lists once more.
    /// - Returns: the last listing.
    func observe(
        _ names: EvidenceNames, again: () throws(HoldfastError) -> EvidenceNames
    ) throws(HoldfastError) -> EvidenceNames {
        let known = state.withLock { $0.remembered.evidence }
        func gone(_ names: EvidenceNames) -> [EvidenceHead] {
            known.values.filter { names[$0.slot]?.contains($0.number) != true }.sorted { $0.slot < $1.slot }
        }
        var shown = names
        var missing = gone(shown)
        for _ in 1..<Self.looks where !missing.isEmpty {
            shown = try again()
            missing = gone(shown)
        }
        for head in missing {
            try stepBack("\(ObjectNames.evidence(head.slot, head.number)) is not there any more") {
                $0.acceptsEvidence = true
                $0.remembered.evidence[head.slot] = nil
            }
        }
        return shown
    }

    /// The newest link of a chain that is known.
    func evidenceHead(of slot: SlotID) -> EvidenceHead? { state.withLock { $0.remembered.evidence[slot] } }

    /// A link of a chain, which was read. Shown in the order of their numbers, links show also one that was replaced
    /// below the newest.
    func observe(_ head: EvidenceHead) throws(HoldfastError) {
        let known = state.withLock { $0.remembered.evidence[head.slot] }
        if let known, known.number == head.number, known.digest != head.digest {
            try stepBack("\(ObjectNames.evidence(head.slot, head.number)) is another one than before") {
                $0.acceptsEvidence = true
                $0.remembered.evidence[head.slot] = nil
            }
        }
        state.withLock { state in
            state.seen.learn(head)
            if state.remembered.evidence[head.slot].map({ $0.number < head.number }) ?? true {
                state.remembered.evidence[head.slot] = head
            }
        }
    }
}
