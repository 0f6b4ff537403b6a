// The types of jobs that are verbs of this program, run as an operator would.

import FoundationEssentials
import Primitives
import Scheduling

/// A type of job whose steps are verbs of this program with `--json`.
protocol VerbJob: JobType {}

extension VerbJob {
    package func reading(_ end: StepEnd, of step: JobStep) -> StepReading { VerbReading.reading(end) }

    func refused(_ job: Job) -> HoldfastError {
        HoldfastError(
            .configuration, "job \(job.name) is of type \(job.action.kind), not \(Self.kind)",
            hint: "Correct its `type`.")
    }

    func verb(_ words: [String]) -> JobStep { JobStep(.own(words + ["--json"])) }
}

/// How verbs of this program end; docs/errors.md has the statuses.
enum VerbReading {
    /// `holdfast.error/1`, and what reports of several sources hold of it.
    private struct Failure: Decodable {
        var code: String?
        var message: String?
        var retry: String?
    }

    private struct Report: Decodable {
        struct Run: Decodable { var error: Failure? }
        var code: String?
        var message: String?
        var retry: String?
        var runs: [Run]?
        var memory: String?
    }

    static func reading(_ end: StepEnd) -> StepReading {
        switch end.result {
        case .timedOut:
            return StepReading(.timedOut, code: .processFailed, message: "its run deadline passed", retry: .later)
        case .terminated:
            return StepReading(.stopped, code: .interrupted, message: "it was stopped", retry: .later)
        case .signalled(let signal):
            return StepReading(
                .failed, code: .processFailed, message: "killed by signal \(signal)", retry: .later)
        case .exited(let status):
            return reading(status, end.output)
        }
    }

    private static func reading(_ status: Int32, _ output: [UInt8]) -> StepReading {
        let line = output.split(separator: 10).last.map { Data($0) } ?? Data()
        let report = try? JSONDecoder().decode(Report.self, from: line)
        if status == 0 {
            // A verb that says nothing where a report is due did not do what it was asked for.
            guard report != nil else {
                return StepReading(.failed, code: .processFailed, message: "it ended without a report", retry: .later)
            }
            var reading = StepReading(.succeeded)
            reading.memory = report?.memory
            return reading
        }
        let failure = report.flatMap { report in
            report.code == nil
                ? report.runs?.compactMap(\.error).first
                : Failure(code: report.code, message: report.message, retry: report.retry)
        }
        let code = failure?.code.flatMap { ErrorCode(rawValue: $0) }
        let retry = failure?.retry.flatMap { RetryClass(rawValue: $0) } ?? .never
        let message = failure?.message ?? "exit status \(status)"
        switch status {
        case 3: return StepReading(.partial, code: code ?? .sourceIncomplete, message: message, retry: retry)
        case 4:
            var reading = StepReading(.checkFailed, code: code ?? .checkFailed, message: message, retry: retry)
            reading.memory = report?.memory
            return reading
        case 130: return StepReading(.stopped, code: .interrupted, message: message, retry: .later)
        case 11: return StepReading(.failed, code: code ?? .busy, message: message, retry: .later)
        default: return StepReading(.failed, code: code ?? .processFailed, message: message, retry: retry)
        }
    }
}

/// A snapshot of each source.
package struct BackupJob: VerbJob {
    package static let kind = "backup"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .backup(let sources) = job.action else { throw refused(job) }
        return [verb(["backup"] + (sources.isEmpty ? ["--all"] : sources))]
    }
}

/// Retention, and the space that it frees.
package struct ForgetJob: VerbJob {
    package static let kind = "forget"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .forget(let sources, let prune) = job.action else { throw refused(job) }
        guard let last = sources.last else { return [verb(["forget"] + (prune ? ["--prune"] : []))] }
        return sources.dropLast().map { verb(["forget", "--source", $0]) }
            + [verb(["forget", "--source", last] + (prune ? ["--prune"] : []))]
    }
}

/// The structure, and as many packs as the budget allows, those first whose last check lies furthest back.
package struct CheckJob: VerbJob {
    package static let kind = "check"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .check(let budget) = job.action else { throw refused(job) }
        switch budget {
        case .structure: return [verb(["check"])]
        case .everything: return [verb(["check", "--read-data"])]
        case .bytes(let bytes): return [verb(["check", "--read-data-oldest", "\(bytes.bytes)"])]
        case .time(let time): return [verb(["check", "--read-data-oldest", time.lengthOfTime])]
        }
    }
}

/// A restore into scratch space, checked and measured.
package struct DrillJob: VerbJob {
    package static let kind = "drill"
    package static let capabilities = JobCapabilities(leavesScratch: true)

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .drill(let plan) = job.action else { throw refused(job) }
        return [verb(["drill", plan, "--occasion", "automatic"])]
    }
}

/// What ran and did not run, sealed into the repository.
package struct LedgerJob: VerbJob {
    package static let kind = "ledger"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .ledger = job.action else { throw refused(job) }
        return [verb(["schedule", "seal"])]
    }
}

/// Secrets that are due.
package struct RotateJob: VerbJob {
    package static let kind = "rotate"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .rotate(let policies) = job.action else { throw refused(job) }
        return [verb(["rotate"] + policies)]
    }
}

/// Second copies.
package struct MirrorJob: VerbJob {
    package static let kind = "mirror"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .mirror(let places) = job.action else { throw refused(job) }
        return places.isEmpty ? [verb(["mirror"])] : places.map { verb(["mirror", "--to", $0]) }
    }
}
