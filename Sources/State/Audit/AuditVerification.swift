// Whether the chain of an audit log is whole, and what was done to it where it is not.

import Primitives

/// Something that was done to a log.
package struct AuditProblem: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        /// A record that its successors follow is not there.
        case removed
        /// A record is another than the one that was appended.
        case altered
        case reordered
        case duplicated
        /// A record that was never appended here, or a line that is none.
        case inserted
        /// The log is shorter than one of its heads tells.
        case cutOff = "cut-off"
        /// The log is another than one of its heads tells, from that record back.
        case rewritten
        /// A log of which there is a head is not there.
        case missingLog = "missing-log"
    }

    package var kind: Kind
    /// The number of the record; of the first where there are several.
    package var sequence: UInt64?
    /// The segment and the line; nil where nothing is.
    package var place: String?
    package var message: String

    package init(_ kind: Kind, _ sequence: UInt64?, at place: String?, _ message: String) {
        self.kind = kind
        self.sequence = sequence
        self.place = place
        self.message = message
    }
}

/// What a verification found.
package struct AuditVerdict: Sendable, Hashable {
    package var head: AuditHead?
    /// Sound records, whatever their place.
    package var records: UInt64 = 0
    package var first: Timestamp?
    package var last: Timestamp?
    /// The first ``AuditLimits/problems``.
    package var problems: [AuditProblem] = []
    package var problemCount = 0
    /// Where a record begins that was not finished; the next append sets it aside.
    package var torn: String?
    /// Heads of this log that were compared, and the largest count among them.
    package var heads = 0
    package var knownCount: UInt64?

    package init() {}

    package var isWhole: Bool { problemCount == 0 }
}

/// Follows a chain line by line. Memory is bounded by the number of heads and by ``AuditLimits``.
package struct AuditVerifier {
    private struct Link {
        var sequence: UInt64
        var digest: Bytes32
        var previous: Bytes32
        var place: String
    }

    private var verdict = AuditVerdict()
    private var log: Bytes16?
    /// The record with the highest number so far, which the next one is to follow.
    private var top: Link?
    /// Lines behind it that are no sound records.
    private var unsound: [(place: String, why: String)] = []
    /// Numbers that were passed over; what comes later with one of them was moved.
    private var gaps: [ClosedRange<UInt64>] = []
    /// Another record with the number of `top`.
    private var rival: Link?
    /// Records whose number was there before: whether they are the same again is looked up afterwards.
    private var repeated: [Link] = []
    private var torn: AuditLine?
    private var expected: [UInt64: Set<Bytes32>] = [:]
    private var heads: [AuditHead] = []

    /// Verifies a log against itself and `heads`, of which those of other logs are left out.
    ///
    /// - Throws: `.objectMissing` without a log, `.unsupportedFormat` for a newer one, what the system says.
    package static func verify(_ reader: AuditReader, against heads: [AuditHead]) throws(HoldfastError) -> AuditVerdict
    {
        var verifier = AuditVerifier()
        verifier.heads = heads
        try reader.visit { (line) throws(HoldfastError) in
            try verifier.take(line)
            return true
        }
        try verifier.settleRepeated(reader)
        return verifier.finish()
    }

    // MARK: Lines

    private mutating func take(_ line: AuditLine) throws(HoldfastError) {
        if let torn {
            // Nothing is written behind a record that was not finished.
            tell(.altered, nil, at: torn.place, "the end of the line is missing")
            self.torn = nil
        }
        guard line.isWhole else { return torn = line }
        switch AuditLineContent(line.bytes) {
        case .newer(let format):
            throw HoldfastError(
                .unsupportedFormat, "\(line.place) of the audit log is of a newer holdfast (format \(format))",
                hint: "Use the version that wrote it, or a newer one.")
        case .damaged(let why, _):
            if unsound.count < AuditLimits.problems {
                unsound.append((line.place, why))
            } else {
                tell(.altered, nil, at: line.place, why)
            }
        case .record(let record, let digest):
            let link = Link(
                sequence: record.sequence, digest: digest, previous: record.previous, place: line.place)
            if log == nil { begin(record.log) }
            guard record.log == log else {
                return tell(.inserted, link.sequence, at: link.place, "it is of another log")
            }
            verdict.records += 1
            verdict.first = min(verdict.first ?? record.time, record.time)
            verdict.last = max(verdict.last ?? record.time, record.time)
            follow(link)
        }
    }

    /// The log is the one that its first sound record is of.
    private mutating func begin(_ identity: Bytes16) {
        log = identity
        heads = heads.filter { $0.log == identity }
        for head in heads { expected[head.count, default: []].insert(head.digest) }
    }

    private mutating func follow(_ link: Link) {
        let next = (top?.sequence ?? 0) &+ 1
        if link.sequence < next { return goBack(link) }
        if link.sequence == next {
            settleUnsound(held: 0, from: next, after: link)
            hold(link)
        } else {
            let missing = link.sequence - next
            // Lines that are no records hold the places of as many that are missing.
            let held = min(UInt64(unsound.count), missing)
            settleUnsound(held: held, from: next, after: link)
            if held < missing {
                let gap = (next + held)...(link.sequence - 1)
                if gaps.count < AuditLimits.problems { gaps.append(gap) } else { tellRemoved(gap) }
            }
        }
        if let digests = expected[link.sequence], digests != [link.digest] {
            tell(
                .rewritten, link.sequence, at: link.place,
                "a head in the repository tells of another record \(link.sequence): it or what is before it was changed"
            )
        }
        rival = nil
        top = link
    }

    /// Compares what a record says of the one before it, which stands right before it.
    private mutating func hold(_ link: Link) {
        let before = top?.digest ?? Bytes32()
        guard link.previous != before, let top else {
            if top == nil, !link.previous.isZero {
                tell(.altered, link.sequence, at: link.place, "the first record follows one that is not there")
            }
            return
        }
        if let rival, rival.digest == link.previous {
            // Of two with one number the other is the one that was appended.
            repeated.removeAll { $0.place == rival.place }
            tell(.inserted, top.sequence, at: top.place, "record \(link.sequence) does not follow it")
            return
        }
        tell(
            .altered, top.sequence, at: top.place,
            "record \(link.sequence) follows another record \(top.sequence) than this one")
    }

    /// A record with a number that was passed already.
    private mutating func goBack(_ link: Link) {
        if let place = gaps.firstIndex(where: { $0.contains(link.sequence) }) {
            let gap = gaps.remove(at: place)
            if gap.lowerBound < link.sequence { gaps.append(gap.lowerBound...(link.sequence - 1)) }
            if link.sequence < gap.upperBound { gaps.append((link.sequence + 1)...gap.upperBound) }
            let after = top.map { " behind record \($0.sequence)" } ?? ""
            return tell(.reordered, link.sequence, at: link.place, "it stands\(after)")
        }
        if link.sequence == top?.sequence { rival = link }
        guard repeated.count < AuditLimits.problems else {
            return tell(.inserted, link.sequence, at: link.place, "there is a record of its number already")
        }
        repeated.append(link)
    }

    /// Tells of lines that are no records: the first `held` stand where records are missing, the others are too many.
    private mutating func settleUnsound(held: UInt64, from next: UInt64, after link: Link?) {
        for (offset, line) in unsound.enumerated() {
            if offset < Int(held) {
                tell(.altered, next + UInt64(offset), at: line.place, line.why)
            } else {
                let before = link.map { ": record \($0.sequence) follows the one before" } ?? ""
                tell(.inserted, nil, at: line.place, line.why + before)
            }
        }
        unsound = []
    }

    /// Finds the first record of each number that came again.
    private mutating func settleRepeated(_ reader: AuditReader) throws(HoldfastError) {
        guard !repeated.isEmpty else { return }
        var originals: [UInt64: (digest: Bytes32, place: String)] = [:]
        let wanted = Set(repeated.map(\.sequence))
        let places = Set(repeated.map(\.place))
        try reader.visit { (line) throws(HoldfastError) in
            guard line.isWhole, !places.contains(line.place),
                case .record(let record, let digest) = AuditLineContent(line.bytes), record.log == log,
                wanted.contains(record.sequence), originals[record.sequence] == nil
            else { return true }
            originals[record.sequence] = (digest, line.place)
            return true
        }
        for link in repeated {
            if let original = originals[link.sequence], original.digest == link.digest {
                tell(.duplicated, link.sequence, at: link.place, "it is the record at \(original.place) again")
            } else {
                let found = originals[link.sequence].map { "at \($0.place)" } ?? "already"
                tell(.inserted, link.sequence, at: link.place, "another record of its number is there \(found)")
            }
        }
    }

    // MARK: The end

    private mutating func finish() -> AuditVerdict {
        // Nothing follows that would tell whether they are altered records or lines that were added.
        settleUnsound(held: UInt64(unsound.count), from: (top?.sequence ?? 0) &+ 1, after: nil)
        for gap in gaps.sorted(by: { $0.lowerBound < $1.lowerBound }) { tellRemoved(gap) }
        verdict.heads = heads.count
        verdict.knownCount = heads.map(\.count).max()
        let count = top?.sequence ?? 0
        if let newest = verdict.knownCount, newest > count {
            tell(
                .cutOff, count + 1, at: nil,
                "a head in the repository tells of \(newest) records, and the log ends with \(count): "
                    + "those from \(count + 1) on were cut off")
        }
        if let log, let top { verdict.head = AuditHead(log: log, count: top.sequence, digest: top.digest) }
        verdict.torn = torn?.place
        return verdict
    }

    private mutating func tellRemoved(_ gap: ClosedRange<UInt64>) {
        let what =
            gap.count == 1
            ? "record \(gap.lowerBound) is not there" : "records \(gap.lowerBound) to \(gap.upperBound) are not there"
        tell(.removed, gap.lowerBound, at: nil, what)
    }

    private mutating func tell(_ kind: AuditProblem.Kind, _ sequence: UInt64?, at place: String?, _ message: String) {
        verdict.problemCount += 1
        guard verdict.problems.count < AuditLimits.problems else { return }
        verdict.problems.append(AuditProblem(kind, sequence, at: place, message))
    }
}
