// Alerts of secrets that are due soon.

import Primitives
import Rotation
import Scheduling
import State
import StateSupport
import TestSupport
import Testing

@Suite("Alerts of secrets")
struct RotationAlertTests {
    @Test("fire at 7, 3 and 1 days and when it is over, and end with the rotation")
    func levels() throws {
        let stage = try RotationStage()
        let store = stage.journal
        let secret = RotatedSecret(vault: "v", name: "app")
        let begin = stage.clock.now()
        var subject = RotationSubject(secret: secret, policy: 0, succeeded: begin)
        func told(after days: Int64) throws -> String {
            let now = begin + .seconds(days * 86_400)
            let planned = RotationPlanner(policies: [stage.policy]).verdict(subject, at: now)
            try RotationAlerts.tell([(planned, stage.policy)], isAll: true, in: store, at: now)
            let alert = try store.alerts(all: false).first
            return alert.map { "\($0.severity) \($0.key)" } ?? "none"
        }
        #expect(try told(after: 22) == "none")
        #expect(try told(after: 23) == "info secret/v/app")
        #expect(try told(after: 27) == "warning secret/v/app")
        #expect(try told(after: 29) == "critical secret/v/app")
        let before = try store.alerts(all: false).first?.changed
        #expect(try told(after: 29) == "critical secret/v/app")
        #expect(try store.alerts(all: false).first?.changed == before, "the same is told once")
        #expect(try told(after: 31) == "critical secret/v/app")
        #expect(try store.alerts(all: false).first?.summary.contains("was due at") == true)
        subject.succeeded = begin + .seconds(31 * 86_400)
        #expect(try told(after: 31) == "none")
        #expect(try store.alerts(all: true).first?.state == .resolved)
    }

    @Test("of a secret that no policy names any more end")
    func gone() throws {
        let stage = try RotationStage()
        let now = stage.clock.now()
        let secret = RotatedSecret(vault: "v", name: "app")
        let planned = RotationPlanner(policies: [stage.policy]).verdict(
            RotationSubject(secret: secret, policy: 0, succeeded: now + .seconds(-40 * 86_400)), at: now)
        try RotationAlerts.tell([(planned, stage.policy)], isAll: true, in: stage.journal, at: now)
        #expect(try stage.journal.alerts(all: false).count == 1)
        try RotationAlerts.tell([], isAll: false, in: stage.journal, at: now)
        #expect(try stage.journal.alerts(all: false).count == 1)
        try RotationAlerts.tell([], isAll: true, in: stage.journal, at: now)
        #expect(try stage.journal.alerts(all: false).isEmpty)
    }
}
