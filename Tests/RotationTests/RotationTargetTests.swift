// Rotations of what a target has to accept.

import Primitives
import Rotation
import Scheduling
import SecretVaults
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

@Suite("A rotation with a target")
struct RotationTargetTests {
    @Test("has the value in the vault before the target, promotes it once verified, and retires the old one last")
    func order() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"])
        let seen = Mutex<[String]>([])
        let task = try stage.task(target: target)
        let engine = stage.engine { name in
            guard name == "done applied" else { return }
            let record = try? stage.vault.describe(SecretName(validated: Array("app".utf8)))
            let pending = record?.versions.first { $0.labels.contains { $0.text == "pending" } }
            let isOld = record?.current != pending?.id
            seen.withLock { $0.append("\(pending != nil) \(isOld) \(target.accepted.count)") }
        }
        let outcome = try #require(try engine.run([task]).first)
        #expect(outcome.error == nil && outcome.record.state == .done)
        #expect(seen.withLock { $0 } == ["true true 2"])
        #expect(try target.accepted == [stage.current()])
        #expect(target.asked == ["apply", "accepts", "retire"])
        let record = try stage.vault.describe(try SecretName("app"))
        #expect(record.versions.allSatisfy { !$0.labels.contains { $0.text == "pending" } })
    }

    @Test("keeps the old value in its grace, which is data: a later run retires it")
    func grace() throws {
        var stage = try RotationStage()
        stage.policy.grace = .seconds(3600)
        let target = SetTarget(["old"])
        let first = try stage.rotate(target: target)
        #expect(first.error == nil && first.record.state == .grace && target.accepted.count == 2)
        #expect(try stage.rotate(target: target).record.state == .grace)
        stage.clock.advance(by: .seconds(3601))
        let second = try stage.rotate(target: target)
        #expect(second.record.state == .done && second.record.id == first.record.id)
        #expect(try target.accepted == [stage.current()])
    }

    @Test("makes another value when the target refuses one, and waits for an operator after three")
    func refused() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"])
        target.state.withLock { $0.refusals = 2 }
        let outcome = try stage.rotate(target: target)
        #expect(outcome.record.state == .done && outcome.record.candidates == 3)
        target.state.withLock { $0.refusals = 3 }
        let parked = try stage.rotate(target: target)
        #expect(parked.record.isParked && parked.record.candidates == 3)
        #expect(try target.accepted == [stage.current()], "readers have what works")
        target.state.withLock { $0.applyFailure = HoldfastError(.notPermitted, "may not") }
        #expect(try stage.rotate(target: target, ordered: true).error?.code == .rotationParked)
    }

    @Test("asks the target before it does anything again after a crash")
    func observed() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"])
        // As if the process had been killed right after the target took the value.
        target.state.withLock { $0.applyFailure = nil }
        let crashed = Mutex(false)
        stage.vault.on(nil)
        let engine = stage.engine { _ in }
        target.state.withLock { $0.applyFailure = HoldfastError(.targetFailed, "no answer", retry: .later) }
        let first = try #require(try engine.run([try stage.task(target: target)]).first)
        #expect(first.record.intent == .applied && !crashed.withLock { $0 })
        let sealed = try #require(try stage.journal.candidate(of: first.record.id))
        let candidate = try stage.key.open(
            sealed, for: first.record.id, of: "app", at: first.record.secret.vault)
        target.state.withLock { state in
            state.applyFailure = HoldfastError(.targetFailed, "must not be asked again")
            state.accepted.insert(text(candidate))
            state.asked = []
        }
        stage.clock.advance(by: .seconds(3601))
        let second = try stage.rotate(target: target)
        #expect(second.record.state == .done && target.asked.first == "accepts" && !target.asked.contains("apply"))
    }

    @Test("goes back before its promotion: what was staged is gone, and readers' value works")
    func backBefore() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"], keepsOld: false)
        // A target with one password: the old one stops with the new one, which then can't be verified.
        stage.vault.on { (what, _) throws(HoldfastError) in
            if what == "change" { throw HoldfastError(.vaultUnavailable, "down", retry: .later) }
        }
        let stuck = try stage.rotate(target: target)
        #expect(stuck.record.state == .verified && !target.accepted.contains("old"))
        stage.vault.on(nil)
        let back = try stage.rotate(target: target, back: true)
        #expect(back.error == nil && back.record.state == .rolledBack)
        #expect(try target.accepted.contains("old") && stage.current() == "old")
        let record = try stage.vault.describe(try SecretName("app"))
        #expect(record.versions.allSatisfy { !$0.labels.contains { $0.text == "pending" } })
        #expect(try stage.journal.candidate(of: back.record.id) == nil)
    }

    @Test("goes back after its promotion with the old value as a new version, once the target accepts it")
    func backAfter() throws {
        var stage = try RotationStage()
        stage.policy.grace = .seconds(86_400)
        let target = SetTarget(["old"])
        _ = try stage.rotate(target: target)
        // Somebody has taken the old value away at the target meanwhile: it gets it again first.
        target.state.withLock { _ = $0.accepted.remove("old") }
        let back = try stage.rotate(target: target, back: true)
        #expect(back.error == nil && back.record.state == .rolledBack, "\(String(describing: back.error))")
        #expect(try stage.current() == "old" && stage.versions() == 3 && target.accepted.contains("old"))
        let standing = try stage.journal.standings()[back.record.secret]
        #expect(standing?.fingerprint == back.record.fromFingerprint && standing?.notBefore != nil)
    }

    @Test("of an emergency has no grace, and there is no way back to what it gave up")
    func emergency() throws {
        var stage = try RotationStage()
        stage.policy.grace = .seconds(86_400)
        let target = SetTarget(["old"])
        let outcome = try stage.rotate(.compromise, target: target)
        #expect(outcome.record.state == .done && target.accepted.count == 1 && !target.accepted.contains("old"))
        let secret = outcome.record.secret
        #expect(
            failure { _ = try stage.engine().valueToGoBackTo(try SecretVersionID("1"), of: secret) }?.code
                == .notPermitted)
        // One that is under way, and becomes an emergency in its grace.
        let next = try stage.rotate(target: target)
        #expect(next.record.state == .grace)
        let urgent = try stage.rotate(.compromise, target: target, ordered: true)
        #expect(urgent.record.id == next.record.id && urgent.record.state == .done && target.accepted.count == 1)
    }

    @Test("after one that has ended makes an earlier value current again, and the target accepts it first")
    func backToEarlier() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"])
        let first = try stage.rotate(target: target)
        #expect(first.record.state == .done && target.accepted.count == 1)
        var task = try stage.task("app", .rollback, target: target)
        task.candidate = try stage.engine().valueToGoBackTo(try SecretVersionID("1"), of: first.record.secret)
        let back = try #require(try stage.engine().run([task]).first)
        #expect(back.error == nil && back.record.state == .done)
        #expect(try stage.current() == "old" && target.accepted == ["old"])
        #expect(try stage.journal.standings()[first.record.secret]?.notBefore != nil)
    }

    @Test("is found to be together with its target or apart, and nothing is changed for that")
    func reconcile() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"])
        let record = try stage.rotate(target: target).record
        func verdict() throws -> SecretReconciliation {
            try #require(try stage.engine().reconcile([(record.secret, target)]).first).get()
        }
        #expect(try verdict().verdict == .together)
        let accepted = target.accepted
        target.state.withLock { $0.accepted = ["old"] }
        #expect(try verdict().verdict == .targetWentBack)
        target.state.withLock { $0.accepted = [] }
        #expect(try verdict().verdict == .targetRefusesAll)
        target.state.withLock { $0.accepted = accepted.union(["old"]) }
        try stage.put("app", "old")
        #expect(try verdict().verdict == .vaultWentBack)
        try stage.put("app", "theirs")
        target.state.withLock { _ = $0.accepted.insert("theirs") }
        #expect(try verdict().verdict == .foreignValue)
    }
}
