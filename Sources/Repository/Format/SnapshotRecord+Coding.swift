// Field numbers and encodings of the sealed part of a snapshot. Numbers are never reused.

import Primitives

extension SnapshotRecord {
    private enum Field: UInt64, CaseIterable {
        case source = 1
        case workload = 2
        case host = 3
        case tags = 4
        case toolVersion = 5
        case runID = 6
        case started = 7
        case consistentAsOf = 8
        case finished = 9
        case parent = 10
        case counts = 11
        case facts = 12
        case expectedContents = 13
        case opensWith = 14
        case exclusions = 15
        case flags = 16
        case roots = 17
        case unreadable = 18
        case evidence = 19
        case openings = 20
    }

    package var encoded: [UInt8] {
        var map = unknown
        func put(_ field: Field, _ build: (inout ByteWriter) -> Void) {
            var writer = ByteWriter()
            build(&writer)
            map[field.rawValue] = writer.bytes
        }
        put(.source) { $0.string(source) }
        put(.workload) { $0.string(workload) }
        put(.host) { $0.string(host) }
        put(.tags) { Self.write(tags, to: &$0) }
        put(.toolVersion) { $0.string(toolVersion) }
        put(.runID) { $0.raw(runID.bytes) }
        put(.started) { $0.i64(started.nanoseconds) }
        put(.consistentAsOf) { $0.i64(consistentAsOf.nanoseconds) }
        put(.finished) { $0.i64(finished.nanoseconds) }
        if let parent { put(.parent) { $0.raw(parent.bytes) } }
        put(.counts) { counts.write(to: &$0) }
        put(.facts) { Self.write(facts, to: &$0) }
        put(.expectedContents) { Self.write(expectedContents, to: &$0) }
        put(.opensWith) { Self.write(opensWith, to: &$0) }
        put(.exclusions) { Self.write(exclusions, to: &$0) }
        put(.flags) { Self.write(flags, to: &$0) }
        put(.roots) { writer in
            writer.varint(UInt64(roots.count))
            for root in roots {
                writer.prefixed(root.path)
                root.entry.write(to: &writer)
            }
        }
        put(.unreadable) { writer in
            writer.varint(unreadableCount)
            writer.varint(UInt64(unreadable.count))
            for item in unreadable {
                writer.prefixed(item.path)
                writer.string(item.reason)
            }
        }
        if !evidence.isEmpty { put(.evidence) { EvidenceHead.write(evidence, to: &$0) } }
        if let openings { put(.openings) { $0.raw(openings.encoded) } }
        var writer = ByteWriter()
        map.write(to: &writer)
        return writer.bytes
    }

    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var outer = ByteReader(bytes, as: name)
        var map = try FieldMap(from: &outer, atMost: Self.maximumSize)
        try outer.expectEnd()
        func take(_ field: Field) throws(HoldfastError) -> ByteReader {
            guard let value = map[field.rawValue] else { throw outer.corrupt("field \(field) is missing") }
            map[field.rawValue] = nil
            return ByteReader(value, as: name)
        }
        var reader = try take(.source)
        source = try reader.string(atMost: 4096)
        reader = try take(.workload)
        workload = try reader.string(atMost: 64)
        reader = try take(.host)
        host = try reader.string(atMost: 1024)
        reader = try take(.tags)
        tags = try Self.readMap(from: &reader)
        reader = try take(.toolVersion)
        toolVersion = try reader.string(atMost: 256)
        reader = try take(.runID)
        runID = ULID(try reader.bytes16())
        reader = try take(.started)
        started = Timestamp(nanoseconds: try reader.i64())
        reader = try take(.consistentAsOf)
        consistentAsOf = Timestamp(nanoseconds: try reader.i64())
        reader = try take(.finished)
        finished = Timestamp(nanoseconds: try reader.i64())
        if map[Field.parent.rawValue] != nil {
            reader = try take(.parent)
            parent = SnapshotID(try reader.bytes16())
        }
        reader = try take(.counts)
        counts = try SnapshotCounts(from: &reader)
        reader = try take(.facts)
        facts = try Self.readMap(from: &reader)
        reader = try take(.expectedContents)
        expectedContents = try Self.readMap(from: &reader)
        reader = try take(.opensWith)
        opensWith = try Self.readList(from: &reader)
        reader = try take(.exclusions)
        exclusions = try Self.readList(from: &reader)
        reader = try take(.flags)
        flags = try Self.readList(from: &reader)
        reader = try take(.roots)
        for _ in 0..<(try reader.count(each: 8, atMost: 4096)) {
            let path = try reader.prefixed(atMost: 64 << 10)
            roots.append(SnapshotRoot(path: path, entry: try Entry(from: &reader)))
        }
        reader = try take(.unreadable)
        unreadableCount = try reader.varint()
        for _ in 0..<(try reader.count(each: 2, atMost: Self.maximumUnreadableKept)) {
            let path = try reader.prefixed(atMost: 64 << 10)
            unreadable.append(UnreadablePath(path: path, reason: try reader.string(atMost: 4096)))
        }
        if map[Field.evidence.rawValue] != nil {
            reader = try take(.evidence)
            evidence = try EvidenceHead.list(from: &reader)
        }
        if let bytes = map[Field.openings.rawValue] {
            map[Field.openings.rawValue] = nil
            openings = try SnapshotOpenings(bytes, name)
        }
        unknown = map
    }

    private static func write(_ map: [String: String], to writer: inout ByteWriter) {
        writer.varint(UInt64(map.count))
        for (key, value) in map.sorted(by: { $0.key < $1.key }) {
            writer.string(key)
            writer.string(value)
        }
    }

    private static func write(_ list: [String], to writer: inout ByteWriter) {
        writer.varint(UInt64(list.count))
        for item in list { writer.string(item) }
    }

    private static func readMap(from reader: inout ByteReader) throws(HoldfastError) -> [String: String] {
        var map: [String: String] = [:]
        for _ in 0..<(try reader.count(each: 2, atMost: 1 << 16)) {
            let key = try reader.string(atMost: 64 << 10)
            map[key] = try reader.string(atMost: 1 << 20)
        }
        return map
    }

    private static func readList(from reader: inout ByteReader) throws(HoldfastError) -> [String] {
        var list: [String] = []
        for _ in 0..<(try reader.count(each: 1, atMost: 1 << 16)) {
            list.append(try reader.string(atMost: 64 << 10))
        }
        return list
    }
}

extension SnapshotCounts {
    private static let order: [any WritableKeyPath<SnapshotCounts, UInt64> & Sendable] = [
        \.files, \.directories, \.others, \.filesRead, \.bytes, \.bytesRead, \.bytesNew, \.bytesStored, \.chunksNew,
        \.chunksReused, \.deltas,
    ]

    func write(to writer: inout ByteWriter) {
        for path in Self.order { writer.varint(self[keyPath: path]) }
    }

    init(from reader: inout ByteReader) throws(HoldfastError) {
        self.init()
        for path in Self.order {
            // Later versions append counts; an older snapshot ends before them.
            if reader.isAtEnd { return }
            self[keyPath: path] = try reader.varint()
        }
    }
}
