// Which versions each kind of vault forgets, and how high a limit must be.

import Primitives
import Repository
import SecretVaults
import TestSupport
import Testing
import VaultProviders

@testable import Workloads

@Suite("A forecast of versions")
struct VersionForecastTests {
    /// Versions 1…`count`, of which the newest is the current one, as the kind has it.
    static func record(_ count: Int, _ kind: VaultKind, limit: Int? = nil, from first: Int = 1) -> SecretRecord {
        var record = SecretRecord(name: SecretName(validated: Array("app".utf8)))
        record.attributes.limits.maximumVersions = limit
        record.versions = (first..<(first + count)).map { number in
            SecretVersion(
                id: SecretVersionID(validated: Array("\(number)".utf8)), order: UInt64(number),
                created: Timestamp(seconds: Int64(number)))
        }
        record.current = record.versions.last?.id
        guard let stages = SecretStages.of(kind) else { return record }
        record.versions[count - 1].labels = [stages.current]
        if count > 1 { record.versions[count - 2].labels = [stages.previous] }
        return record
    }

    private static func dropped(
        _ record: SecretRecord, _ kind: VaultKind, _ limit: VersionLimit, _ puts: Int = 1
    ) -> [String] {
        VersionForecast(record, kind, limit, puts: puts).dropped.map(\.id.text)
    }

    @Test("goes by the larger of a secret's and the mount's limit in KV 2, and by ten where neither is set")
    func limits() {
        var found = VaultPreflight()
        func limit(_ own: Int?, _ kind: VaultKind = .keyValue2) -> VersionLimit {
            VersionLimit(of: Self.record(1, kind, limit: own), kind, found)
        }
        // Nothing of the mount may be read.
        #expect(limit(nil) == .least(1) && limit(7) == .least(7))
        found.defaults.maximumVersions = 10
        #expect(limit(nil) == .most(10) && limit(3) == .most(3) && limit(12) == .most(12))
        found.leastVersions = 5
        found.defaults.maximumVersions = 5
        #expect(limit(nil) == .most(5) && limit(3) == .most(5) && limit(12) == .most(12))
        #expect(limit(nil, .embedded) == .none && limit(4, .embedded) == .most(4))
        #expect(limit(nil, .keyValue1) == .most(1) && limit(nil, .aws) == .most(100) && limit(nil, .azure) == .none)
    }

    @Test("sees the oldest numbers of KV 2 go, all at once where the limit was lowered, but those destroyed")
    func numbered() {
        var record = Self.record(10, .keyValue2, from: 3)
        #expect(Self.dropped(record, .keyValue2, .most(11)) == [])
        #expect(Self.dropped(record, .keyValue2, .most(10)) == ["3"])
        #expect(Self.dropped(record, .keyValue2, .most(10), 3) == ["3", "4", "5"])
        #expect(Self.dropped(record, .keyValue2, .most(2)) == (3...11).map { "\($0)" })
        record.versions[0].state = .destroyed(at: nil)
        record.versions[1].state = .softDeleted(at: nil)
        #expect(Self.dropped(record, .keyValue2, .most(9)) == ["4"])
        record.versions = []
        #expect(Self.dropped(record, .keyValue2, .most(1)) == [])
    }

    @Test("leaves what has a label, which the current and the previous version lose with the puts")
    func labelled() {
        var record = Self.record(4, .embedded)
        #expect(Self.dropped(record, .embedded, .most(4)) == ["1"])
        // The fourth is the previous one then, and the fifth the second time.
        #expect(Self.dropped(record, .embedded, .most(1)) == ["1", "2", "3"])
        #expect(Self.dropped(record, .embedded, .most(1), 2) == ["1", "2", "3", "4"])
        record.versions[0].labels = [StagingLabel(validated: Array("mine".utf8))]
        #expect(Self.dropped(record, .embedded, .most(4)) == ["2"])
        #expect(Self.dropped(record, .embedded, .none) == [])
        // Without a current version the previous one keeps its label for one put.
        record.versions[3].labels = []
        #expect(Self.dropped(record, .embedded, .most(1)) == ["2", "4"])
        record.removal = SecretRemoval(at: nil, purge: nil)
        #expect(Self.dropped(record, .embedded, .most(1)) == [])
    }

    @Test("is what an embedded vault does", arguments: 1...4)
    func embedded(_ limit: Int) throws {
        let vault = try VaultPair().source
        let name = try SecretName("app")
        try vault.change(name, .attributes(SecretAttributes(limits: SecretLimits(maximumVersions: limit))))
        func put(_ staging: SecretStaging = .current) throws {
            let value = SecretValue(.text, SecretBytes(copying: Array("x".utf8).span.bytes))
            _ = try vault.put(SecretPut(name, value, expected: .anything, staging: staging))
        }
        try put()
        try put(.labels([try StagingLabel("mine")]))
        for _ in 0..<2 { try put() }
        for puts in 1...3 {
            let before = try vault.describe(name)
            let told = VersionForecast(before, .embedded, .most(limit), puts: puts).dropped.map(\.id)
            for _ in 0..<puts { try put() }
            let after = try vault.describe(name)
            #expect(told == before.versions.map(\.id).filter { after[$0] == nil }, "\(limit) \(puts)")
        }
    }

    @Test("sees versions of AWS go beyond a hundred, others in the place of those that are kept, and a day's grace")
    func aws() {
        let record = Self.record(103, .aws)
        let forecast = VersionForecast(record, .aws, .most(100), puts: 1)
        #expect(forecast.dropped.map(\.id.text) == ["1", "2", "3", "4"] && forecast.spared.isEmpty)
        let wanted = Set(record.versions[1...2].map(\.id))
        let sparing = VersionForecast(record, .aws, .most(100), puts: 1, sparing: wanted)
        #expect(sparing.dropped.map(\.id.text) == ["1", "4", "5", "6"])
        #expect(sparing.spared.map(\.text) == ["2", "3"])
        var pinned = record
        let pin = StagingLabel(validated: Array("holdfast-pin-x".utf8))
        pinned.versions[0].labels = [pin]
        #expect(Self.dropped(pinned, .aws, .most(100)) == ["2", "3", "4", "5"])
        let bare = VersionForecast(pinned, .aws, .most(100), puts: 1, without: { $0 == pin })
        #expect(bare.dropped.map(\.id.text) == ["1", "2", "3", "4"])
        let made = record.versions[0]
        let day = Timestamp(seconds: 1 + 86_400)
        #expect(VersionForecast.sparedUntil(made, .aws, now: Timestamp(seconds: 86_400)) == day)
        #expect(VersionForecast.sparedUntil(made, .aws, now: day) == nil)
        #expect(VersionForecast.sparedUntil(made, .keyValue2, now: Timestamp(seconds: 2)) == nil)
        #expect(Self.dropped(Self.record(99, .aws), .aws, .most(100)) == [])
    }

    @Test("sees all of a removed secret go once its time runs out, and nothing where nobody will do that")
    func removed() {
        var record = Self.record(3, .aws)
        record.removal = SecretRemoval(at: nil, purge: nil)
        #expect(Self.dropped(record, .aws, .most(100)) == [])
        record.removal?.purge = Timestamp(seconds: 9)
        #expect(Self.dropped(record, .aws, .most(100)) == ["1", "2", "3"])
        #expect(Self.dropped(record, .azure, .none) == ["1", "2", "3"])
    }

    @Test("leaves pins out of what a snapshot keeps")
    func pins() throws {
        var version = Self.record(1, .aws).versions[0]
        let labels = version.labels
        version.labels.append(.pin(version.id, by: "own"))
        #expect(SecretVersionFacts(version).labels == labels.map(\.text))
        #expect(try VaultLayout.version(of: VaultLayout.metadata(of: version))?.labels == labels)
    }

    @Test("sees the one value of KV 1 go, and none of Azure")
    func others() {
        #expect(Self.dropped(Self.record(1, .keyValue1), .keyValue1, .most(1)) == ["1"])
        #expect(Self.dropped(Self.record(600, .azure), .azure, .none) == [])
    }

    @Test("says which limit keeps what is needed, and no lower one does")
    func wanted() throws {
        for kind in [VaultKind.keyValue2, .embedded] {
            for oldest in 0..<6 {
                for puts in 1...3 {
                    let record = Self.record(6, kind, from: 4)
                    let needed: Set = [record.versions[oldest].id]
                    let limit = try #require(VersionForecast.limit(keeping: needed, of: record, kind, puts: puts))
                    func goes(_ limit: Int) -> Bool {
                        VersionForecast(record, kind, .most(limit), puts: puts).dropped.contains {
                            needed.contains($0.id)
                        }
                    }
                    #expect(!goes(limit), "\(kind) \(oldest) \(puts)")
                    // In an embedded vault what has a label stays a while longer.
                    if kind == .keyValue2 || oldest < 4 { #expect(goes(limit - 1), "\(kind) \(oldest) \(puts)") }
                }
            }
        }
        #expect(VersionForecast.limit(keeping: [], of: Self.record(3, .embedded), .embedded, puts: 1) == nil)
        let aws = Self.record(3, .aws)
        #expect(VersionForecast.limit(keeping: [aws.versions[0].id], of: aws, .aws, puts: 1) == nil)
    }
}
