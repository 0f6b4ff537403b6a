// All jobs of a directory, each in a file of its own.

import Primitives
import Scheduling

/// What reading a directory of jobs gave.
package enum JobDirectoryReading: Sendable {
    case good([ConfiguredJob])
    /// By the paths of the files.
    case bad([(path: String, problem: Problem)])
}

/// Reads the jobs of a directory.
package enum JobDirectory {
    package static let maximumJobs = 10_000
    /// The configuration may lie in the same directory.
    package static let configurationName = "holdfast.yaml"

    /// Which of the names of a directory's entries are job files, in order.
    ///
    /// - Throws: `.limitExceeded` when there are more than ``maximumJobs``.
    package static func files(_ names: [String], in directory: String) throws(HoldfastError) -> [String] {
        let files = names.filter { $0.hasSuffix(".yaml") && !$0.hasPrefix(".") && $0 != configurationName }.sorted()
        guard files.count <= maximumJobs else {
            throw HoldfastError(
                .limitExceeded, "\(directory) holds \(files.count) job files, and \(maximumJobs) are allowed",
                hint: "Put jobs that run alike into one with several sources.")
        }
        return files
    }

    /// Reads these files, each told of by the path that people know it by, and puts `before` of one into `after` of the
    /// others.
    package static func read(_ paths: [String]) throws(HoldfastError) -> JobDirectoryReading {
        var jobs: [ConfiguredJob] = []
        var problems: [(path: String, problem: Problem)] = []
        var places: [JobName: String] = [:]
        for file in paths {
            let path = KeptFile.place(of: file).shown
            switch try JobFile.read(file) {
            case .bad(let found): problems += found.map { (path, $0) }
            case .good(let job):
                if let other = places.updateValue(path, forKey: job.job.name) {
                    let position = job.positions[JobSchema.name.name] ?? Position(line: 1, column: 1)
                    problems.append(
                        (path, Problem(position: position, message: "\(other) has a job `\(job.job.name)` already")))
                }
                jobs.append(job)
            }
        }
        guard problems.isEmpty else { return .bad(problems) }
        let index = Dictionary(uniqueKeysWithValues: jobs.enumerated().map { ($0.element.job.name, $0.offset) })
        for job in jobs {
            for name in job.before {
                guard let other = index[name] else {
                    let position = job.positions[JobSchema.before.name] ?? Position(line: 1, column: 1)
                    problems.append(
                        (job.path, Problem(position: position, message: "`before`: there is no job `\(name)`")))
                    continue
                }
                if !jobs[other].job.after.contains(job.job.name) { jobs[other].job.after.append(job.job.name) }
            }
        }
        return problems.isEmpty ? .good(jobs) : .bad(problems)
    }
}
