// What a record of the kind `inventory` holds: what is declared to be protected, by which jobs, and the recovery points
// that came in its period. It outlives the configuration that it was taken from and the snapshots that it names.

import Primitives

/// A source as it was declared at the end of the record's period, and its newest recovery point then.
package struct EvidenceSource: Sendable, Hashable {
    package var name: String
    /// Such as `dir` or `pg`; empty when there is no snapshot that says it.
    package var workload: String = ""
    /// False for one that has snapshots and does not stand in the configuration.
    package var isDeclared: Bool
    package var owner: String?
    package var tier: String?
    package var dataClass: String?
    package var rpoObjective: Duration?
    package var rtoObjective: Duration?
    package var newest: EvidencePoint?
    package var unknown = FieldMap()

    package init(name: String, isDeclared: Bool) {
        self.name = name
        self.isDeclared = isDeclared
    }
}

/// A job as its file was.
package struct EvidenceJob: Sendable, Hashable {
    package var name: String
    /// `backup`, `drill`, `check` and so on.
    package var kind: String
    /// As it is written, for people.
    package var schedule: String
    package var jitter: Duration = .zero
    package var isEnabled: Bool
    /// Why its file pauses it.
    package var pause: String?
    /// What its runs are about.
    package var sources: [String]
    /// The plan of a drill.
    package var plan: String?
    /// Of a check: whether it reads packs and not the structure alone.
    package var readsData: Bool
    /// How often its schedule was due in the record's period; nil where the schedule did not hold for all of it.
    package var due: UInt64?
    package var unknown = FieldMap()

    package init(
        name: String, kind: String, schedule: String, isEnabled: Bool, sources: [String], readsData: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.schedule = schedule
        self.isEnabled = isEnabled
        self.sources = sources
        self.readsData = readsData
    }
}

/// A recovery point: a snapshot with its instants and sizes, which stay known when retention has taken it away.
package struct EvidencePoint: Sendable, Hashable {
    package static let maximumRows = 64

    package var source: String
    package var snapshot: EvidenceSnapshot
    package var started: Timestamp
    package var consistentAsOf: Timestamp
    /// When the store put it.
    package var durableAt: Timestamp
    package var files: UInt64
    package var bytes: UInt64
    package var bytesNew: UInt64
    package var bytesStored: UInt64
    /// Whether it holds all of the source, as far as the backup could tell.
    package var isGood: Bool
    /// Rows by table, where the engine counted them; the first ``maximumRows`` by name.
    package var rows: [String: String] = [:]
    package var unknown = FieldMap()

    package init(
        source: String, snapshot: EvidenceSnapshot, started: Timestamp, consistentAsOf: Timestamp,
        durableAt: Timestamp, files: UInt64, bytes: UInt64, bytesNew: UInt64, bytesStored: UInt64, isGood: Bool
    ) {
        self.source = source
        self.snapshot = snapshot
        self.started = started
        self.consistentAsOf = consistentAsOf
        self.durableAt = durableAt
        self.files = files
        self.bytes = bytes
        self.bytesNew = bytesNew
        self.bytesStored = bytesStored
        self.isGood = isGood
    }
}

extension EvidenceSource {
    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, name)
        fields.put(2, workload)
        fields.put(3, isDeclared)
        fields.put(4, owner)
        fields.put(5, tier)
        fields.put(6, dataClass)
        fields.put(7, rpoObjective)
        fields.put(8, rtoObjective)
        if let newest { fields.put(9) { $0.raw(newest.encoded) } }
        return fields.bytes
    }

    init(_ bytes: [UInt8], name label: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: label, atMost: EvidenceRecord.maximumSize)
        self.init(
            name: try fields.need(1, try fields.text(1)), isDeclared: try fields.need(3, try fields.flag(3)))
        workload = try fields.need(2, try fields.text(2))
        owner = try fields.text(4)
        tier = try fields.text(5)
        dataClass = try fields.text(6)
        rpoObjective = try fields.duration(7)
        rtoObjective = try fields.duration(8)
        newest = try fields.take(9) { (reader) throws(HoldfastError) in
            try EvidencePoint(try reader.raw(reader.remaining), name: label)
        }
        unknown = fields.rest
    }
}

extension EvidenceJob {
    private static let maximumSources = 65_536

    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, name)
        fields.put(2, kind)
        fields.put(3, schedule)
        fields.put(4, jitter)
        fields.put(5, isEnabled)
        fields.put(6, pause)
        fields.put(7, sources)
        fields.put(8, plan)
        fields.put(9, readsData)
        fields.put(10, due)
        return fields.bytes
    }

    init(_ bytes: [UInt8], name label: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: label, atMost: EvidenceRecord.maximumSize)
        self.init(
            name: try fields.need(1, try fields.text(1)), kind: try fields.need(2, try fields.text(2, atMost: 64)),
            schedule: try fields.need(3, try fields.text(3)), isEnabled: try fields.need(5, try fields.flag(5)),
            sources: try fields.need(7, try fields.list(7, atMost: Self.maximumSources)),
            readsData: try fields.need(9, try fields.flag(9)))
        jitter = try fields.need(4, try fields.duration(4))
        pause = try fields.text(6)
        plan = try fields.text(8)
        due = try fields.number(10)
        unknown = fields.rest
    }
}

extension EvidencePoint {
    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, source)
        fields.put(2) { snapshot.write(to: &$0) }
        fields.put(3, started)
        fields.put(4, consistentAsOf)
        fields.put(5, durableAt)
        fields.put(6) { writer in
            for count in [files, bytes, bytesNew, bytesStored] { writer.varint(count) }
        }
        fields.put(7, isGood)
        if !rows.isEmpty { fields.put(8, rows) }
        return fields.bytes
    }

    init(_ bytes: [UInt8], name label: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: label, atMost: EvidenceRecord.maximumSize)
        let snapshot = try fields.take(2) { (reader) throws(HoldfastError) in try EvidenceSnapshot(from: &reader) }
        let counts = try fields.take(6) { (reader) throws(HoldfastError) in
            var counts: [UInt64] = []
            for _ in 0..<4 { counts.append(try reader.varint()) }
            return counts
        }
        let known = try fields.need(6, counts)
        self.init(
            source: try fields.need(1, try fields.text(1)), snapshot: try fields.need(2, snapshot),
            started: try fields.need(3, try fields.time(3)), consistentAsOf: try fields.need(4, try fields.time(4)),
            durableAt: try fields.need(5, try fields.time(5)), files: known[0], bytes: known[1], bytesNew: known[2],
            bytesStored: known[3], isGood: try fields.need(7, try fields.flag(7)))
        rows = try fields.texts(8) ?? [:]
        unknown = fields.rest
    }
}

extension EvidenceRecord {
    /// The fields of an inventory; nothing in any other record.
    func putInventory(_ fields: inout FieldWriter) {
        if !sources.isEmpty { fields.put(32, list: sources) { $0.encoded } }
        if !jobs.isEmpty { fields.put(33, list: jobs) { $0.encoded } }
        if !points.isEmpty { fields.put(34, list: points) { $0.encoded } }
        if !openExceptions.isEmpty { fields.put(35) { EvidenceHead.writeLinks(openExceptions, to: &$0) } }
    }

    mutating func takeInventory(_ fields: inout FieldReader) throws(HoldfastError) {
        let limit = Self.maximumInventory
        sources =
            try fields.list(32, atMost: limit, of: Self.maximumSize) { (bytes, name) throws(HoldfastError) in
                try EvidenceSource(bytes, name: name)
            } ?? []
        jobs =
            try fields.list(33, atMost: limit, of: Self.maximumSize) { (bytes, name) throws(HoldfastError) in
                try EvidenceJob(bytes, name: name)
            } ?? []
        points =
            try fields.list(34, atMost: limit, of: Self.maximumSize) { (bytes, name) throws(HoldfastError) in
                try EvidencePoint(bytes, name: name)
            } ?? []
        openExceptions =
            try fields.take(35) { (reader) throws(HoldfastError) in
                try EvidenceHead.links(from: &reader, atMost: limit)
            } ?? []
        let isEmpty = sources.isEmpty && jobs.isEmpty && points.isEmpty && openExceptions.isEmpty
        guard kind == .inventory || isEmpty else { throw fields.corrupt("it is no inventory, and holds one") }
        guard Set(sources.map(\.name)).count == sources.count else {
            throw fields.corrupt("two sources have one name")
        }
        guard Set(jobs.map(\.name)).count == jobs.count else { throw fields.corrupt("two jobs have one name") }
    }
}

extension EvidenceHead {
    /// Links in order of slots and numbers, of which a slot may have several.
    static func writeLinks(_ links: [EvidenceHead], to writer: inout ByteWriter) {
        writer.varint(UInt64(links.count))
        for link in links { link.write(to: &writer) }
    }

    static func links(from reader: inout ByteReader, atMost limit: Int) throws(HoldfastError) -> [EvidenceHead] {
        var links: [EvidenceHead] = []
        for _ in 0..<(try reader.count(each: 52, atMost: limit)) {
            let link = try EvidenceHead(from: &reader)
            if let last = links.last, (last.slot, last.number) >= (link.slot, link.number) {
                throw reader.corrupt("its links are out of order")
            }
            links.append(link)
        }
        return links
    }
}
