// What is wrong with chains of evidence: holes, links to something else, ends that were cut off.

import Primitives

/// The links of all chains as far as they are good, and what others know of them.
///
/// A chain can't tell that its end is missing. Whoever wrote down its newest link at a later time can: snapshots do,
/// and so do the links of other slots' chains.
struct EvidenceChains {
    struct Link: Sendable {
        var digest: Bytes32
        var previous: Bytes32
    }

    /// A head with the name of the object that tells of it.
    struct Witnessed: Sendable {
        var head: EvidenceHead
        var by: String
    }

    struct Problem: Sendable {
        var slot: SlotID
        var number: UInt32
        var problem: CheckProblem
        var message: String
    }

    /// Where the object is there and can't be used, the value is nil.
    private(set) var links: [SlotID: [UInt32: Link?]] = [:]
    private var heads: [SlotID: [UInt32: [Bytes32: String]]] = [:]

    mutating func add(_ slot: SlotID, _ number: UInt32, _ link: Link?) {
        links[slot, default: [:]].updateValue(link, forKey: number)
    }

    mutating func add(_ witnessed: Witnessed) {
        let head = witnessed.head
        if heads[head.slot]?[head.number]?[head.digest] == nil {
            heads[head.slot, default: [:]][head.number, default: [:]][head.digest] = witnessed.by
        }
    }

    /// The latest object that names this link or a later one of the chain; nil when nothing later is known of.
    func isWitnessed(_ slot: SlotID, from number: UInt32) -> Bool {
        heads[slot]?.keys.contains { $0 >= number } ?? false
    }

    /// - Parameter slot: Only this chain.
    /// - Parameter isThere: Looks once more for a link that the listing lacks.
    func problems(
        of only: SlotID? = nil, isThere: (SlotID, UInt32) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) -> [Problem] {
        var problems: [Problem] = []
        for slot in Set(links.keys).union(heads.keys).sorted() where only == nil || only == slot {
            let chain = links[slot] ?? [:]
            let known = heads[slot] ?? [:]
            let last = max(chain.keys.max() ?? 0, known.keys.max() ?? 0)
            var number: UInt32 = 0
            while number < last {
                number += 1
                let found = try problem(slot, number, chain, known[number] ?? [:], known, isThere)
                if let found { problems.append(found) }
                // One line for a long hole: the next number of which anything is known.
                guard chain[number] == nil else { continue }
                let next = min(
                    chain.keys.filter { $0 > number }.min() ?? .max, known.keys.filter { $0 > number }.min() ?? .max)
                if next < .max { number = max(number, next - 1) }
            }
        }
        return problems
    }

    private func problem(
        _ slot: SlotID, _ number: UInt32, _ chain: [UInt32: Link?], _ digests: [Bytes32: String],
        _ known: [UInt32: [Bytes32: String]], _ isThere: (SlotID, UInt32) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) -> Problem? {
        guard let there = chain[number] else {
            if try isThere(slot, number) { return nil }
            let by = known.filter { $0.key >= number }.min { $0.key < $1.key }.flatMap { $0.value.values.min() }
            let why = by.map { "\($0) was written when it was there" } ?? "later links of its chain are there"
            return Problem(slot: slot, number: number, problem: .missing, message: "it is missing: \(why)")
        }
        // Damage is told where it was found.
        guard let link = there else { return nil }
        if let other = digests.first(where: { $0.key != link.digest }) {
            return Problem(
                slot: slot, number: number, problem: .brokenChain,
                message: "it is another one than the link of which \(other.value) tells")
        }
        if let before = chain[number - 1], let before, before.digest != link.previous {
            return Problem(
                slot: slot, number: number, problem: .brokenChain, message: "it does not follow the link before it")
        }
        return nil
    }
}
