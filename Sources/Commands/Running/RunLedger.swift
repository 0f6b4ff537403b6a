// The run ledger: what ran and did not run, day by day, as signed links of the repository's evidence.

import Primitives
import Repository
import Scheduling
import State

/// Seals the lines of a scheduler's history into a repository, and reads them there.
///
/// A segment covers a period of the history of one scheduler, which is a directory of state on a host, and begins where
/// the one before it ends. Where the sealed part ends is known from the repository alone: a lost state does not seal
/// again what is there.
struct RunLedger {
    /// Lines that a run wrote down shortly before the end of a day may be committed a little after it.
    static let settling = Duration.seconds(600)
    private static let day: Int64 = 86_400

    let repository: Repository
    let history: any RunHistory
    let host: String
    /// The directory of the state.
    let state: String
    /// With the longest messages a record is still below its limit of 8 MiB.
    var linesInSegment = 4096

    /// Seals what was written down on days (UTC) that are over.
    ///
    /// - Durability: on return every segment is on stable storage. Retry: safe; what was sealed is not sealed again.
    /// - Throws: `.notPermitted` for a key without the right to attest; what store and repository throw.
    func seal(at now: Timestamp) throws(HoldfastError) -> [Evidence] {
        guard repository.keyring.mayAttest else {
            throw HoldfastError(
                .notPermitted, "this key (role \(repository.keyring.role)) may not sign the run ledger",
                hint: "Have an admin give it the right: `holdfast keys grant SLOT --attest`.")
        }
        let end = Timestamp(seconds: (now + (.zero - Self.settling)).seconds.floorDivided(by: Self.day) * Self.day)
        let oldest = end + (.zero - HistoryLimits.age)
        let sealed = try Self.segments(of: repository).compactMap(\.record)
            .filter { $0.environment.host == host && $0.environment.target == state }.map(\.finished).max()
        var begin = max(sealed ?? oldest, oldest)
        var made: [Evidence] = []
        // The end of the day that `begin` lies in, and so on.
        var next = Timestamp(seconds: (begin.seconds.floorDivided(by: Self.day) + 1) * Self.day)
        while next <= end {
            // Days on which nothing was written down are covered by the segment after them.
            if try seal(from: begin, until: next, at: now, &made) { begin = next }
            next = next + .seconds(Self.day)
        }
        return made
    }

    /// Says whether there was anything to seal.
    private func seal(
        from begin: Timestamp, until end: Timestamp, at now: Timestamp, _ made: inout [Evidence]
    ) throws(HoldfastError) -> Bool {
        let found = try history.history(HistoryQuery(from: begin, until: end, limit: linesInSegment + 1))
        if found.count > linesInSegment {
            let half = begin + (end.since(begin) / 2)
            guard half > begin, half < end else {
                throw HoldfastError(
                    .limitExceeded, "more than \(linesInSegment) lines of the history are of one instant (\(begin))",
                    hint: "Report this.")
            }
            let first = try seal(from: begin, until: half, at: now, &made)
            let second = try seal(from: first ? half : begin, until: end, at: now, &made)
            return first || second
        }
        let lines = found.reversed().compactMap { EvidenceRun($0) }
        guard !lines.isEmpty else { return false }
        let id = try ULID(at: now, entropy: repository.entropy)
        var record = EvidenceRecord(
            id: id, kind: .runs, occasion: .automatic, verdict: .passed, operator: Host.userName,
            toolVersion: ToolVersion.current, runID: id, started: begin, finished: end,
            environment: EvidenceEnvironment(
                host: host, target: state, network: "", account: Host.userName, isSegregated: false))
        record.runs = lines
        made.append(try repository.attest(record))
        return true
    }

    /// The segments that are in the repository, oldest period first.
    static func segments(of repository: Repository) throws(HoldfastError) -> [Evidence] {
        try repository.evidence().evidence.filter { $0.record?.kind == .runs }
            .sorted { ($0.record?.started ?? $0.object.stored, $0.id) < ($1.record?.started ?? $1.object.stored, $1.id) }
    }
}

extension EvidenceRun {
    /// Nil for a run that has not ended: it is written down anew when it does.
    init?(_ record: RunRecord) {
        let (job, due) = (record.key.job.description, record.key.scheduled)
        switch record.state {
        case .running, .waiting: return nil
        case .ended(let outcome):
            self.init(
                job: job, due: due, trigger: record.trigger.rawValue, outcome: outcome.rawValue, reason: "")
            attempt = UInt64(max(0, record.attempt))
            fence = UInt64(max(0, record.fence))
            host = record.host
            began = record.began
            ended = record.ended
            code = record.code
            message = record.message.map { String(decoding: $0.utf8.prefix(Self.maximumMessage), as: UTF8.self) }
        case .notRun(let why, let last, let number):
            self.init(job: job, due: due, trigger: record.trigger.rawValue, outcome: "", reason: why.rawValue)
            self.last = last
            count = number.map { UInt64(max(0, $0)) }
        }
    }
}
