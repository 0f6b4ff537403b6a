// Which runs must not be under way together, and which must not begin after what went before.

import Primitives

extension Job {
    /// The sources that runs of this job read or thin out; empty for all of its repository, nil for none.
    package var touchedSources: [String]? {
        switch action {
        case .backup(let sources), .forget(let sources, _): sources
        case .drill(let plan): [plan]
        case .check, .mirror, .ledger, .rotate, .command: nil
        }
    }

    /// Whether both touch one source. Of what is not known it is assumed.
    package func sharesSource(with other: Job) -> Bool {
        guard let own = touchedSources, let others = other.touchedSources else { return false }
        if let reach, let far = other.reach { return !reach.sources.isDisjoint(with: far.sources) }
        if own.isEmpty || others.isEmpty { return sharesRepository(with: other) }
        return !Set(own).isDisjoint(with: others)
    }

    /// Whether both work on one repository. A job that names none works on one that the configuration names, so that
    /// nothing can be said against it.
    package func sharesRepository(with other: Job) -> Bool {
        if let reach, let far = other.reach { return reach.sharesRepository(with: far) }
        guard let repository, let far = other.repository else { return true }
        return repository == far
    }

    /// What becomes of a run of this job while `other` is running; nil when they do not mind each other.
    ///
    /// Two runs of one job never go together. Where several groups apply, the most careful policy holds: the run is
    /// left
    /// out rather than the other ended, and the other ended rather than waited for.
    package func overlap(with other: Job) -> OverlapPolicy? {
        var found: [OverlapPolicy] = []
        if name == other.name {
            found.append(concurrency[.source] ?? .queue)
        } else if let policy = concurrency[.source], sharesSource(with: other) {
            found.append(policy)
        }
        if let policy = concurrency[.repository], other.concurrency[.repository] != nil,
            sharesRepository(with: other)
        {
            found.append(policy)
        }
        if let policy = concurrency[.host], other.concurrency[.host] != nil { found.append(policy) }
        return [OverlapPolicy.skip, .replace, .queue].first { found.contains($0) }
    }

    /// Whether runs of this job free what a failed backup would still need: retention of the sources of `other`.
    package func thinsOut(sourcesOf other: Job) -> Bool {
        guard case .forget = action, case .backup = other.action else { return false }
        if let reach, let far = other.reach { return reach.sharesPart(with: far) }
        return sharesSource(with: other)
    }

    /// Whether `other` drills a source that runs of this job thin out.
    package func thinsOut(sourcesDrilledBy other: Job) -> Bool {
        guard case .forget = action, case .drill = other.action else { return false }
        if let reach, let far = other.reach { return reach.sharesPart(with: far) }
        return sharesSource(with: other)
    }
}
