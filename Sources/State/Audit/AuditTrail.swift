// The seam between whoever gives values out and the log that must hear of it first.

import Primitives

/// The newest record of a log, as it is told elsewhere: what is known of it there can't be taken back here.
package struct AuditHead: Sendable, Hashable {
    /// The name of a fact with a head, in what is signed into a repository.
    package static let fact = "audit"

    package var log: Bytes16
    /// The number of records, which is that of the newest.
    package var count: UInt64
    package var digest: Bytes32

    package init(log: Bytes16, count: UInt64, digest: Bytes32) {
        self.log = log
        self.count = count
        self.digest = digest
    }

    /// Three words: the log and the digest in hexadecimal, the count between them.
    package var text: String { "\(Hex.encode(log.array)) \(count) \(Hex.encode(digest.array))" }

    /// Nil for what is no head.
    package init?(text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, let log = Hex.decode(words[0]), log.count == 16, let count = UInt64(words[1]),
            count > 0, let digest = Hex.decode(words[2]), digest.count == 32
        else { return nil }
        self.init(log: Bytes16(log.span.bytes), count: count, digest: Bytes32(digest.span.bytes))
    }

    /// The facts that a record of evidence carries; none for a log without a record.
    package static func facts(of head: AuditHead?) -> [String: String] { head.map { [fact: $0.text] } ?? [:] }

    /// Beside the head in a snapshot, whose host may be one that somebody named: where the log is.
    package static let hostFact = "audit.host"
    package static let stateFact = "audit.state"

    /// The facts that a snapshot carries.
    package func facts(ofState directory: String, on host: String) -> [String: String] {
        [Self.fact: text, Self.hostFact: host, Self.stateFact: directory]
    }
}

/// Takes down accesses to secret values before they take place.
///
/// Thread: from any. Methods block.
package protocol AuditTrail: Sendable {
    /// Appends records of `entries`, at most ``AuditLimits/group``, in their order; returns the number of the first.
    ///
    /// - Durability: on return all are on stable storage; only then may what they tell of begin.
    /// - Retry: the same again is told again.
    /// - Throws: `.busy` (`retry: .later`) when others hold the log for too long, `.noSpace`, `.accessDenied` and
    ///   `.inputOutput` for what they say, `.corruptObject` when there is no sound record to go on from,
    ///   `.limitExceeded` for an entry that is too long. Then nothing may begin.
    func append(_ entries: [AuditEntry]) throws(HoldfastError) -> UInt64

    /// The newest record; nil when there is none.
    ///
    /// - Throws: as ``append(_:)``.
    func head() throws(HoldfastError) -> AuditHead?
}

/// What bounds the log.
package enum AuditLimits {
    /// Entries that are appended at once, and made durable together.
    package static let group = 1000
    /// A segment that is as large is followed by another.
    package static let segment = ByteCount(16 << 20)
    /// How long other processes are waited for.
    package static let patience = Duration.seconds(10)
    /// Of the reason that somebody gives, in bytes.
    package static let reason = 1024
    /// Problems that are told one by one; the others are counted.
    package static let problems = 100
    /// A torn end is looked for so far back.
    static let tail = 1 << 20
}
