// Whether retention may thin out: one rule for the daemon, for timers, for further attempts and for operators.

import Primitives

/// What checks found that speaks against thinning out a repository, whichever job it is.
package struct RepositoryFaults: Sendable, Hashable {
    /// Damage that no later check has shown to be gone, and the newest check of each place when it did not end well.
    package let checks: [CheckRecord]

    package init(_ all: [CheckRecord], jobs: [Job]) {
        guard !all.isEmpty else {
            checks = []
            return
        }
        let placed = all.compactMap { $0.placed(by: jobs) }
        var found = CheckStanding(placed, of: nil).damages
        // One that somebody broke off says nothing, not even that the one before it was good.
        let whole = placed.filter { !$0.outcome.isByOrder }
        for place in Set(whole.map(\.note.repository)) {
            guard let newest = CheckStanding(whole, of: place).newest, !newest.outcome.isGood, !found.contains(newest)
            else { continue }
            found.append(newest)
        }
        checks = found.sorted { $0.noted < $1.noted }
    }
}

/// Why a job may not thin out now.
package enum RetentionObjection: Sendable, Hashable {
    /// The newest backup of a source did not end well.
    case backup(JobName)
    /// No backup of a source is known to have ended well. It may be on its way.
    case noBackup(JobName)
    /// A backup of a source is due or under way.
    case busy(JobName)
    /// The newest drill of a source did not end well.
    case drill(JobName)
    /// A check found damage that is still known, or the newest one did not end well.
    case check(CheckRecord)
    /// The newest check by a job died, and so left no word of its own.
    case deadCheck(JobName)

    /// Whether it may pass without anybody doing anything about it.
    var passes: Bool {
        switch self {
        case .noBackup, .busy: true
        case .backup, .drill, .check, .deadCheck: false
        }
    }
}

/// What speaks against thinning out the sources of a job.
///
/// The snapshot that retention would keep may be the bad one, and those that it takes away the last good ones.
package struct RetentionRule {
    private let forget: Job
    private let jobs: [Job]
    private let memories: (JobName) -> JobMemory?
    private let faults: RepositoryFaults
    private let isBusy: (JobName) -> Bool
    private let now: Timestamp

    package init(
        _ forget: Job, among jobs: [Job], memories: @escaping (JobName) -> JobMemory?, faults: RepositoryFaults,
        isBusy: @escaping (JobName) -> Bool, at now: Timestamp
    ) {
        self.forget = forget
        self.jobs = jobs
        self.memories = memories
        self.faults = faults
        self.isBusy = isBusy
        self.now = now
    }

    /// The first thing that speaks against it; one that nothing but an operator's deed ends goes before those that
    /// pass.
    package var objection: RetentionObjection? {
        guard case .forget = forget.action else { return nil }
        if let found = faults.checks.first(where: { concerns($0) }) { return .check(found) }
        if let dead = jobs.first(where: { isDeadCheck($0) }) { return .deadCheck(dead.name) }
        var found: [RetentionObjection] = []
        for covering in parts(of: jobs.filter { forget.thinsOut(sourcesOf: $0) }).values {
            if let objection = backups(covering) { found.append(objection) }
        }
        for covering in parts(of: jobs.filter { forget.thinsOut(sourcesDrilledBy: $0) }).values {
            if let bad = unsettled(covering) { found.append(.drill(bad)) }
        }
        found.sort { "\($0)" < "\($1)" }
        return found.first { !$0.passes } ?? found.first
    }

    // MARK: Checks

    private func concerns(_ check: CheckRecord) -> Bool {
        guard let place = check.note.repository, let own = forget.reach?.repositories else { return true }
        // The same place by another path has marks in common, as long as a job knows both.
        let sites = jobs.flatMap { Array($0.reach?.repositories ?? []) }.compactMap { $0 }.filter { $0.path == place }
        return own.contains { site in
            guard let site else { return true }
            return site.path == place || sites.contains { $0.isOne(with: site) }
        }
    }

    /// A check that died wrote nothing down of what it found. A later one of the same job makes up for it.
    private func isDeadCheck(_ job: Job) -> Bool {
        guard case .check = job.action, job.isEnabled, memories(job.name)?.verdict?.outcome == .died else {
            return false
        }
        guard let own = forget.reach, let far = job.reach else { return true }
        return own.sharesRepository(with: far)
    }

    // MARK: Runs

    private func backups(_ covering: [Job]) -> RetentionObjection? {
        if let busy = covering.first(where: { isBusy($0.name) }) { return .busy(busy.name) }
        if let bad = unsettled(covering) { return .backup(bad) }
        // Of a job that is disabled and never ran nothing is expected.
        guard let waited = covering.first(where: \.isEnabled), goods(covering).isEmpty else { return nil }
        return .noBackup(waited.name)
    }

    /// A job whose newest run did not end well, when none that ended well has begun since.
    private func unsettled(_ covering: [Job]) -> JobName? {
        let goods = goods(covering)
        return covering.first { job in
            guard let memory = memories(job.name), var last = memory.last else { return false }
            // A backup that somebody stopped leaves the source without one. A drill that was stopped says nothing, and
            // what the one before it found holds.
            if case .drill = job.action, last.outcome.isByOrder {
                guard let verdict = memory.verdict else { return false }
                last = verdict
            }
            return !last.outcome.isGood && !goods.contains { $0.began >= last.ended }
        }?.name
    }

    /// The newest good run of each. One under a clock that ran ahead says nothing of what came after it.
    private func goods(_ covering: [Job]) -> [JobMemory.Ended] {
        covering.compactMap { job in
            let memory = memories(job.name)
            let last = memory?.last.flatMap { $0.outcome.isGood ? $0 : nil }
            guard var good = last ?? memory?.lastSuccess else { return nil }
            if good.began.since(now) > RunMemoryLimits.ahead { good.began = Timestamp(seconds: 0) }
            return good
        }
    }

    // MARK: Sources

    /// The jobs that are about each of the sources that are thinned out.
    private func parts(of others: [Job]) -> [JobReach.Part: [Job]] {
        var found: [JobReach.Part: [Job]] = [:]
        let own = forget.reach.map { Dictionary(grouping: $0.parts, by: \.source) }
        let names = sources(of: others)
        for job in others {
            var parts: [JobReach.Part] = []
            if let own, let far = job.reach {
                for part in far.parts {
                    parts += (own[part.source] ?? []).filter { JobReach.mayBeOne($0.repository, part.repository) }
                }
            } else {
                let touched = job.touchedSources ?? []
                parts = names.filter { touched.isEmpty || touched.contains($0) }.map {
                    JobReach.Part(source: $0, repository: nil)
                }
            }
            if parts.isEmpty { parts = [JobReach.Part(source: "", repository: nil)] }
            for part in Set(parts) { found[part, default: []].append(job) }
        }
        return found
    }

    /// What is known of sources where nobody has looked into the configuration.
    private func sources(of others: [Job]) -> Set<String> {
        if case .forget(let named, _) = forget.action, !named.isEmpty { return Set(named) }
        if let reach = forget.reach { return reach.sources }
        return Set(others.flatMap { $0.touchedSources ?? [] }).union([""])
    }
}

extension RunOutcome {
    /// It did all that it was to do.
    package var isGood: Bool { self == .succeeded }
    /// It was ended because somebody or another run wanted so.
    package var isByOrder: Bool { self == .stopped || self == .replaced }
}
