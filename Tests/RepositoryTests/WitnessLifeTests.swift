// Honest lives that a client with a memory must not take for a store that was put back.

import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("A client that looks seldom")
struct WitnessLifeTests {
    private let directory = TemporaryDirectory()
    private let house: SmallHouse

    init() throws { house = try SmallHouse() }

    /// One command with a memory of its own host; what it told.
    private func command(
        host: String = "b", _ answer: StoreWitness.Answer = .refuse, _ use: (Repository) throws -> Void
    ) throws -> [String] {
        let told = Monitor<[String]>([])
        var environment = SmallHouse.environment(house.clock, 7)
        environment.witness = StoreWitness(directory: "\(directory.path)/\(host)", answer: answer) { remark in
            told.withLock { $0.append("\(remark)") }
        }
        let repository = try Repository.open(house.store, secret: SmallHouse.secret(1), environment: environment)
        try use(repository)
        environment.witness?.save()
        return told.withLock { $0 }
    }

    @Test("forgets a source that another host gave up, long after its tombstone went, though it asks for others only")
    func givenUp() throws {
        let only = try house.backup(["a": .whole(house.noise(1))], source: "old host")
        try house.backup(["a": .whole(house.noise(2))])
        // Once it saw everything.
        #expect(try command { _ = try $0.snapshots() }.isEmpty)
        try house.forget(only, source: "old host")
        try house.repository.bury(only, of: try house.repository.tag(ofSource: "old host"), generation: 0)
        // Every night it backs up its own source and nothing else.
        for night in 0..<4 {
            #expect(try command { try house.backup(["a": .whole(house.noise(UInt64(night)))], as: $0) }.isEmpty)
            house.clock.advance(by: Collector.tombstoneLife / 3)
            try house.pruneFully()
        }
        #expect(try house.repository.snapshots().tombstones.isEmpty, "the tombstone went")
        #expect(try command { try house.backup(["a": .whole(house.noise(9))], as: $0) }.isEmpty)
    }
}
