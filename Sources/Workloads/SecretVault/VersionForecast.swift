// Which versions of a secret a vault forgets with the next puts.

import Primitives
import SecretVaults

/// How many versions of a secret a vault keeps, as far as that can be told.
package enum VersionLimit: Sendable, Hashable {
    /// It forgets none.
    case none
    /// So many, and the next ones push the oldest out.
    case most(Int)
    /// So many or more: what the vault sets for all its secrets could not be looked at.
    case least(Int)

    /// The versions that a secret of AWS keeps whatever their labels are.
    package static let ofAWS = 100

    /// - Parameter found: A look at the vault that `record` is of.
    package init(of record: SecretRecord, _ kind: VaultKind, _ found: VaultPreflight) {
        let own = record.attributes.limits.maximumVersions
        switch kind {
        case .azure: self = .none
        case .keyValue1: self = .most(1)
        case .aws: self = .most(Self.ofAWS)
        case .embedded: self = own.map { .most($0) } ?? .none
        case .keyValue2:
            // The server goes by the larger of the two numbers, and by its own where neither is set.
            if let least = found.leastVersions {
                self = .most(max(own ?? 0, least))
            } else if let standard = found.defaults.maximumVersions {
                self = .most(own ?? standard)
            } else {
                self = .least(max(own ?? 0, 1))
            }
        }
    }

    /// How many are kept at the least; nil where there is no limit.
    package var number: Int? {
        switch self {
        case .none: nil
        case .most(let number), .least(let number): number
        }
    }
}

/// The versions of one secret that the next puts push out, when each makes its version the current one.
///
/// | kind | what goes |
/// |---|---|
/// | KV 2 | numbers up to that of the newest less the limit, in one sweep, whatever the state of the versions is |
/// | KV 1 | the one value |
/// | embedded | the oldest without a label, while there are more than the limit |
/// | AWS | the same beyond 100, a day after they were made at the earliest; also without a put |
/// | Azure | none |
///
/// Nobody can put into a secret that is removed. Where its time runs out all of it goes then, snapshot or not.
package struct VersionForecast: Sendable, Hashable {
    /// The most puts that are looked ahead at.
    package static let mostPuts = 100
    /// AWS keeps every version for so long.
    package static let spared = Duration.seconds(86_400)
    /// Of the 20 labels that AWS has for a secret three are its own.
    package static let mostPins = 17

    package let limit: VersionLimit
    /// Oldest first. Not those that are destroyed, of which nothing is left to lose.
    package private(set) var dropped: [SecretVersion] = []
    /// Versions that would have gone, were they not among those to be kept. Oldest first.
    package private(set) var spared: [SecretVersionID] = []

    /// - Parameters:
    ///   - puts: 1…``mostPuts``.
    ///   - isWeightless: Labels that are taken for not there.
    ///   - wanted: Versions that are taken to have a label, in vaults that have labels: others go in their place.
    package init(
        _ record: SecretRecord, _ kind: VaultKind, _ limit: VersionLimit, puts: Int,
        without isWeightless: (StagingLabel) -> Bool = { _ in false }, sparing wanted: Set<SecretVersionID> = []
    ) {
        precondition((1...Self.mostPuts).contains(puts), "a forecast looks 1 to \(Self.mostPuts) puts ahead")
        self.limit = limit
        var going: [SecretVersion] = []
        if let removal = record.removal {
            if removal.purge != nil { going = record.versions }
        } else if let number = limit.number {
            switch kind {
            case .azure: break
            case .keyValue1: going = record.versions
            case .keyValue2: going = Self.numbered(record, number, puts)
            case .embedded, .aws:
                guard let stages = SecretStages.of(kind) else { return }
                let places = Self.labelled(record, stages, number, puts, isWeightless, wanted)
                going = places.gone.sorted().map { record.versions[$0] }
                spared = places.spared.sorted().map { record.versions[$0].id }
            }
        }
        dropped = going.filter { version in
            if case .destroyed = version.state { false } else { true }
        }
    }

    private static func numbered(_ record: SecretRecord, _ limit: Int, _ puts: Int) -> [SecretVersion] {
        let newest = record.versions.last?.order ?? 0
        let (last, isOver) = (newest &+ UInt64(puts)).subtractingReportingOverflow(UInt64(limit))
        return isOver ? [] : record.versions.filter { $0.order <= last }
    }

    private static func labelled(
        _ record: SecretRecord, _ stages: SecretStages, _ limit: Int, _ puts: Int,
        _ isWeightless: (StagingLabel) -> Bool, _ wanted: Set<SecretVersionID>
    ) -> (gone: [Int], spared: Set<Int>) {
        var (gone, spared): ([Int], Set<Int>) = ([], [])
        guard record.versions.count + puts > limit else { return (gone, spared) }
        // Whether a version has a label that puts do not move, or is gone.
        var isOut = record.versions.map { version in
            version.labels.contains { $0 != stages.current && $0 != stages.previous && !isWeightless($0) }
        }
        func holder(_ label: StagingLabel) -> Int? { record.versions.lastIndex { $0.labels.contains(label) } }
        // After the first put what was current is the previous one; after the second it has no label of its own.
        let previous = holder(stages.current) ?? holder(stages.previous)
        for put in 1...puts {
            let held = put == 1 ? previous : nil
            var excess = record.versions.count - gone.count + put - limit
            for place in record.versions.indices where excess > 0 && !isOut[place] && place != held {
                if wanted.contains(record.versions[place].id) {
                    spared.insert(place)
                    continue
                }
                gone.append(place)
                isOut[place] = true
                excess -= 1
            }
        }
        return (gone, spared)
    }

    /// Until when AWS keeps a version whatever its labels are; nil for the other kinds, and once that is over.
    package static func sparedUntil(_ version: SecretVersion, _ kind: VaultKind, now: Timestamp) -> Timestamp? {
        guard kind == .aws, let created = version.created else { return nil }
        let end = created + spared
        return end > now ? end : nil
    }

    /// How many versions the secret must keep so that `puts` further ones leave all of `needed`; nil when the next
    /// puts leave them anyhow.
    package static func limit(
        keeping needed: Set<SecretVersionID>, of record: SecretRecord, _ kind: VaultKind, puts: Int
    ) -> Int? {
        guard let oldest = record.versions.first(where: { needed.contains($0.id) }) else { return nil }
        switch kind {
        case .keyValue2:
            let newest = record.versions.last?.order ?? oldest.order
            return Int(clamping: newest &- oldest.order) + 1 + puts
        case .embedded:
            // Those before it go first; what has a label now may have none by then, and makes no room.
            let before = record.versions.prefix { $0.id != oldest.id }.count { $0.labels.isEmpty }
            return record.versions.count - before + puts
        case .keyValue1, .aws, .azure: return nil
        }
    }
}
