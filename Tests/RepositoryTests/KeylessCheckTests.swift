// The check without keys: everything that should exist exists, as it was written.

import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite struct KeylessCheckTests {
    private func check(_ history: History, _ data: DataSelection = .none) throws -> CheckReport {
        var options = CheckOptions()
        options.data = data
        return try KeylessCheck(history.store, environment: history.small.environment).run(options)
    }

    @Test("a clean repository is clean without a key, and the report says what that does not pin")
    func clean() throws {
        let history = try History(seed: 20)
        let report = try check(history)
        #expect(!report.hasErrors && report.findings(.warning).isEmpty, "\(report.text)")
        #expect(report.counts.packsRead == report.counts.packs && report.counts.packs > 0)
        #expect(report.counts.snapshots == 3 && !report.isComplete)
        #expect(report.findings.contains { $0.problem == .unpinned })
    }

    @Test("every kind of object in every kind of harm is named without a key", arguments: Harm.allCases)
    func harms(_ harm: Harm) throws {
        let other = try History(seed: 78)
        for directory in ["packs/", "index/", "snapshots/", "grants/", "slots/", "epochs/"] {
            let history = try History(seed: 21)
            let key = try #require(try history.keys(directory).first)
            try harm.apply(to: key, in: history, other: other)
            if directory == "snapshots/", harm == .missing { continue }
            let report = try check(history)
            let isNamed = report.findings(.error).contains { finding in
                harm == .missing ? key.path.hasPrefix(finding.object) : finding.object == key.path
            }
            #expect(isNamed, "\(harm) \(key): \(report.text)")
        }
    }

    @Test("any flipped byte of any object but a lease is found without a key")
    func anyByte() throws {
        let random = SeededEntropy(seed: 22)
        let history = try History(seed: 22)
        for key in try history.keys("") {
            let size = try history.store.get(key, limit: .mebi(64)).count
            for _ in 0..<4 {
                let place = Int(random.next() % UInt64(size))
                history.store.damage(key) { $0[place] ^= 0x10 }
                do {
                    let report = try check(history)
                    #expect(report.hasErrors, "byte \(place) of \(key), seed 22")
                } catch let error as HoldfastError {
                    #expect(error.code == .repositoryNotFound && key.path.hasPrefix("format/"), "\(key): \(error)")
                }
                history.store.damage(key) { $0[place] ^= 0x10 }
            }
        }
        #expect(!(try check(history)).hasErrors)
    }

    @Test("a bad pack is traced to the snapshots whose index lists it")
    func traced() throws {
        let history = try History(seed: 23)
        let pack = try #require(try history.packs(.delta).first)
        history.store.damage(pack) { $0[$0.count / 2] ^= 1 }
        let damage = try #require(try check(history).errors(about: pack.path).first).damage
        #expect(damage.isGuess && damage.snapshots == Array(history.snapshots.dropFirst()))
    }

    @Test("a pack that a signed sweep names is legitimately gone, and an unsigned one excuses nothing")
    func swept() throws {
        for isSigned in [true, false] {
            let history = try History(seed: 24)
            let key = try #require(try history.packs(.delta).first)
            let id = try #require(ObjectNames.packID(key))
            let repository = history.small.repository
            let sweep = CollectionObject(
                kind: .sweep, repository: repository.id, generation: 1, slot: repository.keyring.slot,
                made: repository.clock.now(), packs: [id], runs: [])
            let signer = isSigned ? repository.keyring.signing : try History(seed: 79).small.repository.keyring.signing
            let bytes = try sweep.encoded(signer: signer)
            try history.store.putIfAbsent(ObjectNames.sweep(1), bytes.span.bytes)
            try history.store.delete(key)
            let report = try check(history)
            #expect(report.errors(about: key.path).isEmpty == isSigned, "\(report.text)")
            #expect(report.errors(about: "gc/1.sweep").isEmpty == isSigned)
        }
    }

    @Test("a removed key and a new epoch leave nothing to complain of")
    func keys() throws {
        let history = try History(seed: 25)
        _ = try history.small.repository.rotateEpoch()
        let repository = try history.small.opened(on: history.store)
        let writer = HistoryWriter(repository: repository, source: "home")
        try writer.commit([HistoryFile(name: "new", bytes: try noise(9_000, seed: 25))])
        for report in [try check(history), try repository.check()] {
            #expect(!report.hasErrors && report.findings(.warning).isEmpty, "\(report.text)")
            #expect(report.counts.snapshots == 4)
        }
    }
}
