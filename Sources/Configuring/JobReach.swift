// What the runs of jobs are about, once the configuration has filled in what their files leave to it.

import Glibc
import ObjectStore
import Primitives
import Scheduling

extension Configuration {
    /// `job` with its sources by their names, and the repositories where they are.
    ///
    /// - Parameters:
    ///   - named: The repository that an option or the environment names, in place of the configuration's.
    ///   - look: Tells of a location which place it is; it may block for as long as a disk takes, or for ever.
    package func filledIn(
        _ job: Job, named: String? = nil,
        look: (String) -> PlaceAnswer = { PlaceAnswer(RepositoryIdentity.of($0)) }
    ) -> Job {
        var full = job
        var locations: Set<String> = []
        var silent: Set<String> = []
        // Two names or spellings of one place are one.
        func canonical(_ name: String) -> RepositorySite? {
            let location = repository(named: name)?.location ?? name
            let answer = look(location)
            locations.insert(location)
            if answer.isSilent { silent.insert(location) }
            return answer.site
        }
        let own = job.repository ?? named
        let standard = own ?? defaultRepository
        func parts(_ names: [String], _ place: (ConfiguredSource?) -> String?) -> Set<JobReach.Part> {
            let wanted = names.isEmpty ? sources.map(\.name) : names
            return Set(
                wanted.compactMap { name in
                    place(source(named: name)).map { JobReach.Part(source: name, repository: canonical($0)) }
                })
        }
        let found: Set<JobReach.Part>
        switch job.action {
        // A source goes to its own repository, retention is for the snapshots of one.
        case .backup(let names): found = parts(names) { own ?? $0?.repository ?? defaultRepository }
        case .forget(let names, _): found = parts(names) { _ in standard }
        case .drill(let plan):
            let drill = drills.first { $0.name == plan }
            let names = drill?.systems.map(\.source) ?? [plan]
            found = names.isEmpty ? [] : parts(names) { own ?? drill?.repository ?? $0?.repository ?? standard }
        case .rotate(let policies):
            // A rotation takes a snapshot of the source whose secrets it changes.
            let wanted = rotations.filter { policies.isEmpty || policies.contains($0.name) }.map(\.source)
            found = wanted.isEmpty ? [] : parts(wanted) { own ?? $0?.repository ?? defaultRepository }
        case .check, .mirror, .ledger, .command: found = []
        }
        var places: Set<RepositorySite?> = Set(found.map(\.repository))
        switch job.action {
        case .check, .mirror, .forget, .ledger, .command: if let standard { places.insert(canonical(standard)) }
        case .backup, .drill, .rotate: break
        }
        full.reach = JobReach(parts: found, repositories: places, locations: locations, silent: silent)
        return full
    }
}

/// By what two spellings of one repository are known to be one.
package enum RepositoryIdentity {
    /// Of the object that says which repository it is; it has some hundred bytes.
    private static let maximumFormat = ByteCount(64 << 10)

    /// The path, and by what a place that is mounted twice is known to be one.
    ///
    /// - Returns: Nil when the place cannot be told: it may be any.
    package static func of(_ location: String) -> RepositorySite? {
        guard let path = path(of: location) else { return nil }
        var found = stat()
        guard stat(path, &found) == 0 else { return RepositorySite(path: path) }
        var marks: Set = ["\(found.st_dev):\(found.st_ino)"]
        // Of a share that is mounted twice the devices differ, and the numbers of files are the server's. A copy of a
        // repository says that it is the same, and has other numbers.
        let format = path + "/format/1"
        if let bytes = try? InputFile.read(format, limit: maximumFormat, waits: false), stat(format, &found) == 0 {
            marks.insert("\(found.st_ino) \(Hex.encode(bytes))")
        }
        return RepositorySite(path: path, marks: marks)
    }

    /// The absolute path without symbolic links. What is not there yet is named by what is above it.
    ///
    /// - Returns: Nil when the place cannot be told: it may be any.
    package static func path(of location: String) -> String? {
        guard case .local(let path)? = try? StoreLocation(location) else { return nil }
        if let real = Host.realPath(path) { return real }
        var parts = Host.absolutePath(path).split(separator: "/")
        var missing: [Substring] = []
        while let last = parts.last {
            let above = "/" + parts.joined(separator: "/")
            if let real = Host.realPath(above) {
                return (real == "/" ? "" : real) + "/" + missing.joined(separator: "/")
            }
            var found = stat()
            // A link to nowhere, or a directory that may not be looked into: anything may be behind it.
            guard lstat(above, &found) != 0, errno == ENOENT else { return nil }
            missing.insert(last, at: 0)
            parts.removeLast()
        }
        return "/" + missing.joined(separator: "/")
    }
}
