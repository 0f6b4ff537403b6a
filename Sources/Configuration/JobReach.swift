// What the runs of jobs are about, once the configuration has filled in what their files leave to it.

import Scheduling

extension Configuration {
    /// `job` with its sources by their names, and the repositories where they are.
    ///
    /// - Parameter named: The repository that an option or the environment names, in place of the configuration's.
    package func filledIn(_ job: Job, named: String? = nil) -> Job {
        var full = job
        // Two names of one place are one.
        func canonical(_ name: String) -> String {
            let location = repository(named: name)?.location ?? name
            return repositories.first { $0.location == location }?.name ?? name
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
        case .check, .mirror, .command: found = []
        }
        var places = Set(found.map(\.repository))
        switch job.action {
        case .check, .mirror, .forget: places.formUnion([standard].compactMap { $0.map(canonical) })
        case .command: places.formUnion([job.repository].compactMap { $0.map(canonical) })
        case .backup, .drill: break
        }
        full.reach = JobReach(parts: found, repositories: places)
        return full
    }
}
