// What simulated sources hold: few blocks that come again, and versions of them that are stored as deltas.

import Primitives

/// A block of a file: one of a few identities, in one of a few versions.
struct Block: Hashable {
    static let identities = 7
    static let versions = 4

    var identity: Int
    var version: Int

    var bytes: [UInt8] { Self.pool[identity * Self.versions + version] }
    /// The block that this one is a small change of.
    var before: Block? { version == 0 ? nil : Block(identity: identity, version: version - 1) }

    private static let pool: [[UInt8]] = (0..<identities).flatMap { identity -> [[UInt8]] in
        var random = SimulatedRandom(seed: UInt64(identity) &+ 77)
        var bytes = (0..<500).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return (0..<versions).map { _ in
            defer { for place in 0..<4 { bytes[place * 91 + 13] &+= 1 } }
            return bytes
        }
    }

    /// One of the first `variety` blocks: the fewer there are, the more often what was forgotten comes again.
    static func draw(_ random: inout SimulatedRandom, _ variety: Int) -> Block {
        Block(identity: random.below(min(variety, identities)), version: random.below(versions))
    }
}

/// A source as it stands at one time.
struct SimulatedSource {
    let name: String
    let variety: Int
    var files: [(name: String, blocks: [Block])] = []

    /// How many files there ever were, so that each has a name of its own.
    private var born = 0

    init(name: String, variety: Int) {
        self.name = name
        self.variety = variety
    }

    /// Some files change, come and go.
    mutating func live(_ random: inout SimulatedRandom) {
        for place in files.indices where random.chance(6000) {
            for block in files[place].blocks.indices {
                if random.chance(3000) {
                    files[place].blocks[block] = .draw(&random, variety)
                } else if random.chance(5000) {
                    let old = files[place].blocks[block]
                    files[place].blocks[block].version = (old.version + 1) % Block.versions
                }
            }
        }
        if !files.isEmpty, random.chance(3000) { files.removeFirst() }
        while files.isEmpty || random.chance(3000), files.count < 3 {
            let blocks = (0..<random.within(1...3)).map { _ in Block.draw(&random, variety) }
            files.append((name: "f\(random.below(1000))-\(born)", blocks: blocks))
            born += 1
        }
    }

    var plain: [String: [UInt8]] {
        Dictionary(files.map { ($0.name, $0.blocks.flatMap(\.bytes)) }) { first, _ in first }
    }
}
