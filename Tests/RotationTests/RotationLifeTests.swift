// A rotation from its plan to its end, and what may get in its way.

import Primitives
import Rotation
import Scheduling
import SecretVaults
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

@Suite("A rotation")
struct RotationLifeTests {
    @Test("gives a secret a new value, keeps the old version, and is in the audit log before each step")
    func valueOnly() throws {
        let stage = try RotationStage()
        let outcome = try stage.rotate()
        #expect(outcome.error == nil && outcome.record.state == .done)
        let value = try stage.current()
        #expect(try value != "old" && value.utf8.count == 40 && stage.versions() == 2)
        #expect(outcome.record.to == outcome.record.id, "the version's id is that of the rotation")
        #expect(outcome.record.fromFingerprint?.utf8.count == 16 && outcome.record.toFingerprint?.utf8.count == 16)
        #expect(outcome.record.kept == RotationRecord.Kept(snapshot: "S", isCompared: true))
        let actions = stage.audit.records.map(\.entry.action.rawValue)
        #expect(actions == ["preflight", "snapshot", "staged", "promoted", "done"].map { "rotation.\($0)" })
        #expect(stage.audit.records.allSatisfy { $0.entry.reason == "test: a test" && $0.entry.secret == "app" })
        // No value is in the journal or the log; the candidate is erased.
        #expect(try stage.journal.candidate(of: outcome.record.id) == nil)
        let steps = try stage.journal.steps(of: outcome.record.id)
        #expect(!"\(steps) \(outcome.record) \(stage.audit.records)".contains(value))
        #expect(try stage.journal.standings()[outcome.record.secret]?.version == outcome.record.id)
    }

    @Test("does nothing where the audit log can't be written")
    func audit() throws {
        let stage = try RotationStage()
        stage.audit.refuse(with: HoldfastError(.noSpace, "full"))
        #expect(failure { _ = try stage.rotate() }?.code == .noSpace)
        #expect(try stage.vault.log == ["put app", "did put app"] && stage.current() == "old")
        stage.audit.refuse(with: nil)
        #expect(try stage.rotate().record.state == .done)
    }

    @Test("changes nothing where no snapshot holds the version, and goes on once one does")
    func notKept() throws {
        var stage = try RotationStage()
        stage.keeper.error = HoldfastError(.versionNotKept, "no snapshot holds it", retry: .later)
        let outcome = try stage.rotate()
        #expect(outcome.error?.code == .versionNotKept && outcome.record.state == .preflight)
        #expect(outcome.record.attempts == 1 && outcome.record.nextAttempt != nil)
        #expect(try stage.current() == "old" && stage.versions() == 1)
        // Not before its time, unless an operator says so.
        #expect(try stage.rotate().record.state == .preflight)
        stage.keeper.error = nil
        let again = try stage.rotate(ordered: true)
        #expect(again.record.state == .done && again.record.id == outcome.record.id)
    }

    @Test("waits for an operator when somebody else wrote, and leaves what they wrote")
    func conflict() throws {
        let stage = try RotationStage()
        let target = SetTarget(["old"])
        let wrote = Mutex(false)
        stage.vault.on { (what, _) throws(HoldfastError) in
            guard what == "change", !wrote.withLock({ $0 }) else { return }
            wrote.withLock { $0 = true }
            do {
                try stage.put("app", "theirs")
            } catch {
                throw HoldfastError(.inputOutput, "\(error)")
            }
        }
        let outcome = try stage.rotate(target: target)
        stage.vault.on(nil)
        #expect(outcome.error?.code == .rotationParked && outcome.record.isParked)
        #expect(outcome.error?.message.contains("changed by somebody else") == true)
        #expect(try stage.current() == "theirs")
        // Again it is the same, and given up what they wrote stays.
        #expect(try stage.rotate(target: target, ordered: true).error?.code == .rotationParked)
        let back = try stage.rotate(target: target, back: true)
        #expect(try back.error == nil && back.record.state == .rolledBack && stage.current() == "theirs")
        #expect(try stage.rotate(target: target).record.state == .done)
    }

    @Test("takes its own version for its own when the answer to the put was lost")
    func lostAnswer() throws {
        let stage = try RotationStage()
        stage.vault.on { (what, _) throws(HoldfastError) in
            if what == "did put" { throw HoldfastError(.writeUnknown, "no answer") }
        }
        let outcome = try stage.rotate()
        #expect(try outcome.error == nil && outcome.record.state == .done && stage.versions() == 2)
        // And when nothing arrived it is tried again later, with the same value.
        stage.vault.on { (what, _) throws(HoldfastError) in
            if what == "put" { throw HoldfastError(.vaultUnavailable, "down", retry: .later) }
        }
        let down = try stage.rotate()
        #expect(
            down.error?.code == .vaultUnavailable && down.record.state == .staged && down.record.intent == .promoted)
        stage.vault.on(nil)
        stage.clock.advance(by: .seconds(3600))
        let up = try stage.rotate()
        #expect(up.record.state == .done && up.record.toFingerprint == down.record.toFingerprint)
        #expect(try stage.versions() == 3)
    }

    @Test("waits longer with each failure up to an hour, and for an operator after so many")
    func backoff() throws {
        var stage = try RotationStage()
        stage.policy.retries = RotationRetries(attempts: 4)
        stage.vault.on { (what, _) throws(HoldfastError) in
            if what == "put" { throw HoldfastError.vaultThrottled("it", after: nil) }
        }
        for attempt in 1...3 {
            let outcome = try stage.rotate()
            #expect(outcome.record.attempts == attempt && outcome.error?.code == .vaultThrottled)
            let wait = Timestamp(nanoseconds: outcome.record.nextAttempt ?? 0).since(stage.clock.now())
            #expect(wait >= .zero && wait <= .seconds(30 << (attempt - 1)))
            stage.clock.advance(by: .seconds(3601))
        }
        let last = try stage.rotate()
        #expect(last.record.isParked && last.error?.code == .rotationParked)
        let retries = RotationRetries()
        let now = stage.clock.now()
        #expect(retries.wait(after: 50, random: .max, now: now, expiry: nil) <= .seconds(3600))
        #expect(retries.wait(after: 50, random: .max, now: now, expiry: now + .seconds(5)) <= .seconds(5))
    }

    @Test("of which another process has the claim is left alone until that process is gone or its lease is over")
    func lease() throws {
        let stage = try RotationStage()
        let lost = Mutex<RotationOutcome?>(nil)
        let other: RotationStage = {
            var other = stage
            other.process = 200
            return other
        }()
        // The first is held up in the middle; the second comes meanwhile.
        let isFirst = Mutex(true)
        let engine = stage.engine { name in
            guard name == "before staged.intent", isFirst.withLock({ $0 }) else { return }
            isFirst.withLock { $0 = false }
            let busy = try? other.rotate()
            #expect(busy?.error?.code == .busy)
            // Longer than the lease: the second goes on, and to the end.
            stage.clock.advance(by: .seconds(3600))
            lost.withLock { $0 = try? other.rotate() }
        }
        let first = try #require(try engine.run([try stage.task()]).first)
        #expect(lost.withLock { $0?.record.state } == .done)
        #expect(first.error?.code == .leaseLost && first.record.state != .done)
        #expect(try stage.versions() == 2, "the one that lost its lease put nothing")
        #expect(try stage.journal.unfinished().isEmpty)
    }

    @Test("gives a group of secrets few writes of the journal, and each its own value")
    func group() throws {
        let stage = try RotationStage()
        var tasks: [RotationTask] = []
        for number in 0..<40 {
            try stage.put("group/\(number)", "old \(number)")
            tasks.append(try stage.task("group/\(number)"))
        }
        let writes = Mutex(0)
        let outcomes = try stage.engine { if $0.hasPrefix("after") { writes.withLock { $0 += 1 } } }.run(tasks)
        #expect(outcomes.allSatisfy { $0.error == nil && $0.record.state == .done })
        #expect(writes.withLock { $0 } <= 12, "as many as one secret needs")
        #expect(Set(outcomes.compactMap(\.record.toFingerprint)).count == 40)
    }
}
