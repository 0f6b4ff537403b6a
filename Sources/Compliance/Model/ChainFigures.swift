// Which links a report rests on, and whether their chains are whole.

import Primitives
import Repository

/// Of each chain the unbroken stretch from the first link that is used to the newest, and single links before it.
struct ChainFigures: Sendable {
    private struct Link: Sendable {
        var digest: Bytes32
        var previous: Bytes32
        var isImported: Bool
        var others: [EvidenceHead]
    }

    private struct Chain: Sendable {
        var links: [UInt32: Link] = [:]
        var used: Set<UInt32> = []
        /// Used by themselves: an exception that was opened long ago needs no link in between.
        var alone: Set<UInt32> = []

        var last: UInt32 { links.keys.max() ?? 0 }
        /// Where the stretch begins: at the newest link where none is used.
        var first: UInt32 { used.min() ?? last }
    }

    private var chains: [SlotID: Chain] = [:]

    mutating func add(_ link: ReportLink) {
        chains[link.slot, default: Chain()].links[link.number] = Link(
            digest: link.digest, previous: link.previous, isImported: link.isImported, others: link.others)
    }

    mutating func use(_ link: ReportLink) { chains[link.slot, default: Chain()].used.insert(link.number) }

    mutating func useAlone(_ link: ReportLink) { chains[link.slot, default: Chain()].alone.insert(link.number) }

    var needed: [(slot: SlotID, number: UInt32, isUsed: Bool)] {
        var needed: [(slot: SlotID, number: UInt32, isUsed: Bool)] = []
        for (slot, chain) in chains.sorted(by: { $0.key < $1.key }) {
            for number in chain.links.keys.sorted() where number >= chain.first || chain.alone.contains(number) {
                needed.append((slot, number, chain.used.contains(number) || chain.alone.contains(number)))
            }
        }
        return needed
    }

    var rows: [Report.Chain] {
        chains.sorted { $0.key < $1.key }.map { slot, chain in
            let used = chain.used.union(chain.alone)
            return Report.Chain(
                slot: slot.description, first: chain.first, last: chain.last,
                lastSha256: chain.links[chain.last].map { Hex.encode($0.digest.array) } ?? "",
                used: Int64(used.count),
                imported: Int64(used.count { chain.links[$0]?.isImported ?? false }))
        }
    }

    /// A link of a chain that is not as it must be.
    struct Problem: Sendable, Hashable {
        var slot: SlotID
        var number: UInt32
        var text: String
    }

    /// What is missing, or does not follow, within the stretches.
    func problems() -> [Problem] {
        var problems: [Problem] = []
        for (slot, chain) in chains.sorted(by: { $0.key < $1.key }) {
            let last = chain.last
            var number = chain.first
            while number <= last, number > 0 {
                if let link = chain.links[number] {
                    if let before = chain.links[number - 1], number > chain.first, before.digest != link.previous {
                        problems.append(
                            Problem(slot: slot, number: number, text: "it does not follow the link before it"))
                    }
                    number += 1
                } else {
                    // One line for a long hole.
                    let next = chain.links.keys.filter { $0 > number }.min() ?? last
                    let what = next - number > 1 ? "it and all before link \(next) are" : "it is"
                    problems.append(Problem(slot: slot, number: number, text: "\(what) missing or damaged"))
                    number = next
                }
            }
        }
        return problems + namedProblems()
    }

    /// Links of other chains that the links of a stretch name.
    private func namedProblems() -> [Problem] {
        var newest: [SlotID: (head: EvidenceHead, by: String)] = [:]
        var problems: Set<Problem> = []
        for (slot, chain) in chains.sorted(by: { $0.key < $1.key }) {
            for (number, link) in chain.links.sorted(by: { $0.key < $1.key }) where number >= chain.first {
                for head in link.others {
                    let by = "evidence/\(slot)/\(number)"
                    if newest[head.slot].map({ $0.head.number < head.number }) ?? true {
                        newest[head.slot] = (head, by)
                    }
                    guard let other = chains[head.slot], let there = other.links[head.number],
                        head.number >= other.first, there.digest != head.digest
                    else { continue }
                    problems.insert(
                        Problem(
                            slot: head.slot, number: head.number,
                            text: "it is another one than a link of another chain names"))
                }
            }
        }
        for (slot, (head, by)) in newest.sorted(by: { $0.key < $1.key }) where head.number > chains[slot]?.last ?? 0 {
            problems.insert(
                Problem(slot: slot, number: head.number, text: "it is missing: \(by) was written when it was there"))
        }
        return problems.sorted { ($0.slot, $0.number, $0.text) < ($1.slot, $1.number, $1.text) }
    }
}
