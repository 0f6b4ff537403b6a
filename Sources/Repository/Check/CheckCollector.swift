// Gathers what the threads of a check find, and reads objects with one repetition.

import ObjectStore
import Primitives
import Synchronization

/// The state that a check's threads share.
///
/// Thread: may be used from any thread.
final class CheckCollector: Sendable {
    /// Findings beyond this number are counted in one line: a check of a ruined repository stays bounded.
    static let maximumFindings = 100_000

    let store: any ObjectStore
    let options: CheckOptions
    let cancellation: Cancellation
    private let state = Mutex(CheckReport())

    init(_ store: any ObjectStore, options: CheckOptions, cancellation: Cancellation) {
        self.store = store
        self.options = options
        self.cancellation = cancellation
    }

    func add(_ finding: CheckFinding) {
        state.withLock { report in
            if report.findings.count < Self.maximumFindings { report.findings.append(finding) }
        }
    }

    func add(_ severity: CheckSeverity, _ problem: CheckProblem, _ object: String, _ message: String) {
        add(CheckFinding(severity, problem, object, message))
    }

    /// Runs `body` over an object; a failure becomes a finding, unless the object is gone since it was listed.
    func examine(
        _ info: ObjectInfo, limit: ByteCount, _ body: ([UInt8]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        do throws(HoldfastError) {
            try object(info.key, limit: limit, body)
        } catch {
            if error.code == .interrupted { throw error }
            if error.code == .objectMissing, try store.info(info.key) == nil { return }
            add(error, about: info.key.path)
        }
    }

    /// Turns a failure into a finding about `object`.
    func add(_ error: HoldfastError, about object: String, severity: CheckSeverity = .error) {
        let problem: CheckProblem =
            switch error.code {
            case .objectMissing: .missing
            case .corruptObject, .limitExceeded, .unsupportedFormat: .damaged
            default: .unreadable
            }
        add(severity, problem, object, error.description)
    }

    func note(read id: PackID, isGood: Bool) {
        if isGood { state.withLock { _ = $0.goodPacks.insert(id) } }
        options.onPackRead(id, isGood)
    }

    func count(_ change: (inout CheckCounts) -> Void) { state.withLock { change(&$0.counts) } }
    func addBytesRead(_ count: Int) { state.withLock { $0.bytesRead += UInt64(count) } }
    func setIncomplete() { state.withLock { $0.isComplete = false } }

    func addTransient(_ object: String, _ error: HoldfastError) {
        state.withLock { $0.transientReads.append(TransientRead(object: object, message: error.description)) }
    }

    var progress: Progress { options.progress }

    /// Runs `read`; when it fails, runs it once more, and notes a transient failure when that is good.
    ///
    /// - Throws: the second failure; the first when the work was interrupted.
    func repeating<R>(_ object: String, _ read: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try read()
        } catch {
            guard error.code != .interrupted, error.code != .notPermitted else { throw error }
            let result = try read()
            addTransient(object, error)
            return result
        }
    }

    /// Reads a whole small object and lets `parse` look at it, twice if need be.
    func object<R>(
        _ key: ObjectKey, limit: ByteCount, _ parse: ([UInt8]) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        try cancellation.check()
        return try repeating(key.path) { () throws(HoldfastError) in
            let bytes = try store.get(key, limit: limit)
            addBytesRead(bytes.count)
            return try parse(bytes)
        }
    }

    /// The report so far, findings in order.
    func report() -> CheckReport {
        var report = state.withLock { $0 }
        report.findings.sort { ($0.severity, $0.object, $0.message) < ($1.severity, $1.object, $1.message) }
        report.transientReads.sort { ($0.object, $0.message) < ($1.object, $1.message) }
        return report
    }

    /// The errors so far, by object; what they hurt is filled in later.
    func attach(_ damage: [String: CheckDamage]) {
        state.withLock { report in
            for place in report.findings.indices {
                let finding = report.findings[place]
                if finding.severity == .error, let hurt = damage[finding.object] {
                    report.findings[place].damage = hurt
                }
            }
        }
    }
}
