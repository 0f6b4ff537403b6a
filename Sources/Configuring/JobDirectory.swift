// All jobs of a directory, each in a file of its own.

import Primitives
import Scheduling
import Synchronization

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
        for (path, reading) in readings(paths) {
            switch try reading.get() {
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

    private typealias Reading = (shown: String, Result<JobReading, HoldfastError>)

    /// Files that a thread takes at once; fewer files than this are not worth another one.
    private static let share = 64

    /// What each file holds, in the order of `paths`; read by several threads, since there can be thousands.
    private static func readings(_ paths: [String]) -> [Reading] {
        // Most are in one directory, of which the origin is looked up once.
        var origins: [Substring: (shown: String, directory: String)] = [:]
        let places = paths.map { path -> (shown: String, directory: String) in
            guard let slash = path.lastIndex(of: "/") else { return KeptFile.place(of: path) }
            let (parent, name) = (path[..<slash], path[path.index(after: slash)...])
            let known = origins[parent] ?? KeptFile.place(of: path)
            origins[parent] = known
            let shown = known.shown.lastIndex(of: "/").map { String(known.shown[...$0]) } ?? ""
            return (shown + name, known.directory)
        }
        let state = Mutex((next: 0, parts: [Int: [Reading]]()))
        withThreads(min(4, max(1, paths.count / share))) { _ in
            while true {
                let first = state.withLock { state -> Int in
                    defer { state.next += share }
                    return state.next
                }
                guard first < paths.count else { return }
                var part: [Reading] = []
                for index in first..<min(first + share, paths.count) {
                    let place = places[index]
                    part.append(
                        (place.shown, Result { () throws(HoldfastError) in try JobFile.read(paths[index], place) }))
                }
                state.withLock { [part] in $0.parts[first] = part }
            }
        }
        let parts = state.withLock { $0.parts }
        return parts.keys.sorted().flatMap { parts[$0] ?? [] }
    }
}
