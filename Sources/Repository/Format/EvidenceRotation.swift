// One rotation of a secret, as evidence keeps it. No value is in it.

import Primitives

/// What a rotation did, when, and how it ended. Words are those of the journal: readers keep what they do not know.
package struct EvidenceRotation: Sendable, Hashable {
    /// A state that was begun, reached or failed.
    package struct Step: Sendable, Hashable {
        package var state: String
        package var phase: String
        package var at: Timestamp

        package init(state: String, phase: String, at: Timestamp) {
            self.state = state
            self.phase = phase
            self.at = at
        }
    }

    package static let maximumSteps = 1000

    package var id: String
    package var vault: String
    package var secret: String
    package var policy: String
    package var strategy: String
    package var trigger: String
    package var actor: String
    package var reason: String?
    package var from: String?
    package var to: String?
    /// The first 8 bytes of HMAC-SHA256 under a key of the host, in hexadecimal.
    package var fromFingerprint: String?
    package var toFingerprint: String?
    /// `done` or `rolled-back`.
    package var outcome: String
    /// The snapshot that was seen to hold the version that was replaced.
    package var snapshot: String?
    /// Its value was read there and compared.
    package var isCompared = false
    package var due: Timestamp?
    package var nextDue: Timestamp?
    /// How many values were made.
    package var candidates: UInt64 = 0
    package var steps: [Step] = []
    package var facts: [String: String] = [:]
    package var unknown = FieldMap()

    package init(
        id: String, vault: String, secret: String, policy: String, strategy: String, trigger: String, actor: String,
        outcome: String
    ) {
        self.id = id
        self.vault = vault
        self.secret = secret
        self.policy = policy
        self.strategy = strategy
        self.trigger = trigger
        self.actor = actor
        self.outcome = outcome
    }

    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, id)
        fields.put(2, vault)
        fields.put(3, secret)
        fields.put(4, policy)
        fields.put(5, strategy)
        fields.put(6, trigger)
        fields.put(7, actor)
        fields.put(8, reason)
        fields.put(9, from)
        fields.put(10, to)
        fields.put(11, fromFingerprint)
        fields.put(12, toFingerprint)
        fields.put(13, outcome)
        fields.put(14, snapshot)
        fields.put(15, isCompared)
        fields.put(16, due)
        fields.put(17, nextDue)
        fields.put(18, candidates)
        fields.put(19) { writer in
            writer.varint(UInt64(steps.count))
            for step in steps {
                writer.string(step.state)
                writer.string(step.phase)
                writer.i64(step.at.nanoseconds)
            }
        }
        fields.put(20, facts)
        return fields.bytes
    }

    init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: EvidenceRecord.maximumSize)
        self.init(
            id: try fields.need(1, try fields.text(1, atMost: 64)), vault: try fields.need(2, try fields.text(2)),
            secret: try fields.need(3, try fields.text(3)), policy: try fields.need(4, try fields.text(4)),
            strategy: try fields.need(5, try fields.text(5, atMost: 64)),
            trigger: try fields.need(6, try fields.text(6, atMost: 64)), actor: try fields.need(7, try fields.text(7)),
            outcome: try fields.need(13, try fields.text(13, atMost: 64)))
        reason = try fields.text(8)
        from = try fields.text(9)
        to = try fields.text(10)
        fromFingerprint = try fields.text(11, atMost: 64)
        toFingerprint = try fields.text(12, atMost: 64)
        snapshot = try fields.text(14)
        isCompared = try fields.need(15, try fields.flag(15))
        due = try fields.time(16)
        nextDue = try fields.time(17)
        candidates = try fields.need(18, try fields.number(18))
        let steps = try fields.take(19) { (reader) throws(HoldfastError) in
            var steps: [Step] = []
            for _ in 0..<(try reader.count(each: 10, atMost: Self.maximumSteps)) {
                steps.append(
                    Step(
                        state: try reader.string(atMost: 64), phase: try reader.string(atMost: 64),
                        at: Timestamp(nanoseconds: try reader.i64())))
            }
            return steps
        }
        self.steps = try fields.need(19, steps)
        facts = try fields.need(20, try fields.texts(20))
        unknown = fields.rest
    }
}
