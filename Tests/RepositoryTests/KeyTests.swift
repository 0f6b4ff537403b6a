// Keys: who may open, what each role holds, removal, epochs, and rotations that break off.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Keys")
struct KeyTests {
    @Test("a wrong password opens no slot")
    func wrongPassword() throws {
        let test = try TestRepository()
        let error = #expect(throws: HoldfastError.self) { try test.open("wrong") }
        #expect(error?.code == .wrongKey)
        #expect(error?.code.exitStatus == 12)
    }

    @Test("an empty store holds no repository")
    func noRepository() throws {
        let clock = ManualClock()
        let error = #expect(throws: HoldfastError.self) {
            try Repository.open(
                MemoryStore(clock: clock), secret: TestRepository.secret("x"),
                environment: TestRepository.environment(clock: clock))
        }
        #expect(error?.code == .repositoryNotFound)
    }

    @Test("each role holds the keys that the format gives it and no others")
    func shares() throws {
        let test = try TestRepository()
        let expected: [Role: Set<GrantedKey>] = [
            .writer: [.dataID, .secretID, .metaID, .logID, .sourceID, .cut, .index, .dataPublic, .structurePublic],
            .maintainer: [.metaID, .index, .structurePrivate, .dataPublic, .structurePublic],
            .restorer: Set(GrantedKey.allCases).subtracting([.adminSeed]),
            .admin: Set(GrantedKey.allCases),
        ]
        for (role, keys) in expected {
            let opened = try test.adding(role, password: "\(role)")
            #expect(Set(opened.keyring.current.keys.keys) == keys, "\(role)")
            #expect(opened.keyring.canReadData == (role == .admin || role == .restorer), "\(role)")
        }
    }

    @Test("only an admin adds, removes and rotates", arguments: [Role.writer, .maintainer, .restorer])
    func adminOnly(role: Role) throws {
        let test = try TestRepository()
        let opened = try test.adding(role, password: "other")
        let admin = test.repository.keyring.slot
        let new = Repository.NewKey(label: "x", role: .admin, secret: TestRepository.secret("x"))
        let rotating = #expect(throws: HoldfastError.self) { try opened.rotateEpoch() }
        #expect(rotating?.code == .notPermitted)
        let removing = #expect(throws: HoldfastError.self) { try opened.removeKey(admin) }
        #expect(removing?.code == .notPermitted)
        let adding = #expect(throws: HoldfastError.self) { try opened.addKey(new) }
        #expect(adding?.code == .notPermitted)
    }

    @Test("a removed slot opens no more, its signatures stay known, and it gets no new epoch")
    func removal() throws {
        let test = try TestRepository()
        let writer = try test.adding(.writer, password: "writer")
        let admin = try test.open()
        try admin.removeKey(writer.keyring.slot)
        let error = #expect(throws: HoldfastError.self) { try test.open("writer") }
        #expect(error?.code == .wrongKey)
        let epoch = try test.open().rotateEpoch()
        let after = try test.open()
        #expect(after.keyring.current.epoch == epoch)
        let member = try #require(after.keyring.roster[writer.keyring.slot])
        #expect(member.isRevoked)
        #expect(member.roles[1] == .writer)
        #expect(member.roles[epoch] == nil)
    }

    @Test("a removal that broke off before the slot object went is finished by the next")
    func brokenRemoval() throws {
        let test = try TestRepository()
        let writer = try test.adding(.writer, password: "writer")
        let faulty = FaultyStore(
            test.store, clock: test.clock, faults: [StoreFault(.fail(Self.gone), on: .delete, prefix: "slots/")])
        let admin = try test.open(on: faulty)
        #expect(throws: HoldfastError.self) { try admin.removeKey(writer.keyring.slot) }
        try test.open().removeKey(writer.keyring.slot)
        #expect(try test.open().slots().map(\.object.id) == [test.repository.keyring.slot])
        let error = #expect(throws: HoldfastError.self) { try test.open().removeKey(writer.keyring.slot) }
        #expect(error?.code == .usage)
    }

    @Test("the last admin and the slot in use cannot be removed")
    func lastAdmin() throws {
        let test = try TestRepository()
        let error = #expect(throws: HoldfastError.self) {
            try test.repository.removeKey(test.repository.keyring.slot)
        }
        #expect(error?.code == .usage)
    }

    @Test("a new epoch has fresh keys, keeps the id keys, and every slot holds old and new")
    func rotation() throws {
        let test = try TestRepository()
        _ = try test.adding(.writer, password: "writer")
        _ = try test.adding(.restorer, password: "restorer")
        let before = try test.open()
        #expect(try before.rotateEpoch() == 2)
        for password in [TestRepository.password, "writer", "restorer"] {
            let opened = try test.open(password)
            #expect(opened.keyring.epochs.keys.sorted() == [1, 2], "\(password)")
            #expect(opened.keyring.current.epoch == 2)
            #expect(opened.keyring.current.dataPublic != before.keyring.current.dataPublic)
            let old = try #require(opened.keyring.epochs[1]?.keys[.dataID])
            let new = try #require(opened.keyring.current.keys[.dataID])
            #expect(old.equals(new))
        }
    }

    @Test("a password is changed by one slot object, and the old one opens no more")
    func changedPassword() throws {
        let test = try TestRepository()
        try test.repository.changeSecret(TestRepository.secret("new"), derivation: TestRepository.derivation)
        #expect(try test.open("new").keyring.slot == test.repository.keyring.slot)
        let error = #expect(throws: HoldfastError.self) { try test.open() }
        #expect(error?.code == .wrongKey)
    }

    @Test("wherever a rotation breaks off, nobody writes to keys that the admin lacks, and the next one succeeds")
    func brokenRotation() throws {
        var failing = 0
        while true {
            let test = try TestRepository()
            _ = try test.adding(.writer, password: "writer")
            let faulty = FaultyStore(
                test.store, clock: test.clock,
                faults: [StoreFault(.fail(Self.gone), on: .put, skipping: failing, times: .max)])
            let admin = try test.open(on: faulty)
            do throws(HoldfastError) {
                _ = try admin.rotateEpoch()
                break
            } catch {
                #expect(error.code == .storeUnavailable)
            }
            let writer = try test.open("writer")
            let again = try test.open()
            #expect(again.keyring.epochs[writer.keyring.current.epoch] != nil, "after \(failing) puts")
            let next = try again.rotateEpoch()
            #expect(try test.open("writer").keyring.current.epoch == next)
            #expect(try test.open().keyring.current.epoch == next)
            failing += 1
        }
        #expect(failing == 3, "an epoch and two grants are put")
    }

    private static let gone = HoldfastError(.storeUnavailable, "gone", retry: .later)

    @Test("two admins that rotate from one state get epochs of their own, or one is told that it lost")
    func twoRotations() throws {
        let test = try TestRepository()
        let first = try test.open()
        let second = try test.open()
        let a = try first.rotateEpoch()
        let b = try second.rotateEpoch()
        #expect(a != b)
        #expect(try test.open().keyring.epochs.keys.sorted() == [1, a, b])
    }

    @Test("a slot that is there gets the right to sign evidence, with all that it had, and carries it on")
    func attesting() throws {
        let test = try TestRepository()
        let writer = try test.adding(.writer, rights: .readback, sources: ["web"], password: "writer")
        let slot = writer.keyring.slot
        // The clock went back since the slot was made.
        test.clock.advance(by: .seconds(-3600))
        #expect(!writer.keyring.mayAttest)
        #expect(try test.open().allowAttesting(slot))
        #expect(try !test.open().allowAttesting(slot), "it has it already")
        #expect(try !test.open().allowAttesting(test.repository.keyring.slot), "an admin always has")
        let opened = try test.open("writer")
        #expect(opened.keyring.mayAttest && opened.keyring.current.rights == [.readback, .attest])
        #expect(
            opened.keyring.role == .writer
                && Set(opened.keyring.current.keys.keys) == Set(writer.keyring.current.keys.keys))
        #expect(try opened.keyring.roster[slot]?.sources[1] == [test.repository.tag(ofSource: "web")])
        #expect(try test.open().rotateEpoch() == 2)
        #expect(try test.open("writer").keyring.mayAttest)
        #expect(try test.open().keyring.roster[slot]?.mayAttest(in: 1) == true)
    }

    @Test("a right is given in the newest epoch alone, by an admin alone, and not to a slot that was removed")
    func attestingRefused() throws {
        let test = try TestRepository()
        let restorer = try test.adding(.restorer, password: "restorer")
        let slot = restorer.keyring.slot
        let denied = #expect(throws: HoldfastError.self) { try restorer.allowAttesting(slot) }
        #expect(denied?.code == .notPermitted)
        _ = try test.open().rotateEpoch()
        #expect(try test.open().allowAttesting(slot))
        let member = try #require(try test.open().keyring.roster[slot])
        #expect(member.mayAttest(in: 2) && !member.mayAttest(in: 1), "what it signed before does not become good")
        try test.open().removeKey(slot)
        let gone = #expect(throws: HoldfastError.self) { try test.open().allowAttesting(slot) }
        #expect(gone?.code == .usage)
        #expect(try test.open().keyring.roster[slot]?.mayAttest(in: 2) == true, "what it signed stays good")
    }

    @Test("a grant that the admin did not sign does not exist")
    func forgedGrant() throws {
        let test = try TestRepository()
        let writer = try test.adding(.writer, password: "writer")
        let forger = try SigningKey.generate(entropy: SystemEntropy())
        var grant = GrantObject(
            repository: writer.id, sealingKey: writer.keyring.agreement.publicKey,
            signingKey: writer.keyring.signing.publicKey, epoch: 1, role: .admin, rights: [],
            issued: test.clock.now(), label: "forged", sources: [])
        let bytes = try grant.encoded(keys: writer.keyring.current.keys, admin: forger, entropy: SystemEntropy())
        let name = ObjectNames.grant(grant.slot, epoch: 1, digest: SHA256.digest(bytes.span.bytes))
        try test.store.putIfAbsent(name, bytes.span.bytes)
        #expect(try test.open("writer").keyring.role == .writer)
    }

    @Test("hostile scrypt parameters are refused before memory is taken")
    func hostileSlot() throws {
        let test = try TestRepository()
        let opened = SlotObject.Opened(
            agreement: try AgreementKey.generate(entropy: SystemEntropy()),
            signing: try SigningKey.generate(entropy: SystemEntropy()), adminKey: test.repository.keyring.adminKey)
        var slot = try SlotObject(
            repository: test.repository.id, revision: 1, created: test.clock.now(), label: "hostile",
            derivation: TestRepository.derivation, opened: opened, secret: TestRepository.secret("x"),
            entropy: SystemEntropy())
        slot.derivation = .scrypt(logN: 30, p: 1)
        let bytes = try slot.encoded(signer: opened.signing)
        let error = #expect(throws: HoldfastError.self) { try SlotObject(bytes, name: "slot") }
        #expect(error?.code == .limitExceeded)
    }
}
