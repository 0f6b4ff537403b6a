// What a PostgreSQL server sends with a base backup.

import Primitives
import Repository
import Sealing
import TestSupport
import Workloads

extension Fuzzer {
    /// A manifest up to its checksum, which the fuzzer appends, so that every input gets past it.
    func backupManifest(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var bytes = input
        if bytes.last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        let digest = Hex.encode(SHA256.digest(bytes.span.bytes).array)
        let manifest = try BackupManifest(bytes + Array("\"Manifest-Checksum\": \"\(digest)\"}\n".utf8))
        guard !manifest.ranges.isEmpty else { return .wrong("a manifest without a range of log") }
        return manifest.files.contains { $0.path.isEmpty } ? .wrong("a file without a path") : .accepted
    }

    /// Messages of a base backup, each after its length in two bytes.
    func baseBackup(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var rest = input
        let stream = BaseBackupStream(clock: HandClock()) { (body) throws(HoldfastError) in
            guard !rest.isEmpty else { return false }
            let count = min(take(2, from: &rest), rest.count)
            let message = Array(rest[..<count])
            rest.removeFirst(count)
            let span = message.span.bytes
            try span.withUnsafeBytes { (raw) throws(HoldfastError) in try body(raw) }
            return true
        } endedEarly: {
        }
        let sink = RootCheck()
        let reading = BaseBackupReading(stream, sink: sink)
        try reading.run()
        if let problem = sink.problem { return .wrong(problem) }
        guard sink.roots.last == Array("pgdata".utf8), Set(sink.roots).count == sink.roots.count, !sink.isOpen else {
            return .wrong("the roots of a whole backup are \(sink.roots.map { String(decoding: $0, as: UTF8.self) })")
        }
        return .accepted
    }
}

/// Holds what is pushed to the order that a sink is promised, and forgets it.
private final class RootCheck: EntrySink {
    private(set) var roots: [[UInt8]] = []
    private(set) var isOpen = false
    private var hasFile = false
    private(set) var problem: String?
    private var total = 0
    /// A member with holes may be of any size.
    private static let most = 16 << 20
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    deinit { buffer.deallocate() }

    private func note(_ isWrong: Bool, _ what: String) { if isWrong, problem == nil { problem = what } }

    private func note(_ parts: [[UInt8]]) {
        note(!isOpen || hasFile, "an entry out of place")
        let isUnsafe = parts.contains {
            $0.isEmpty || $0 == [46] || $0 == [46, 46] || $0.contains(47) || $0.contains(0)
        }
        note(isUnsafe, "an entry that leads out of its root")
    }

    func beginRoot(_ path: [UInt8], _ metadata: EntryMetadata, order: EntryOrder) {
        note(isOpen, "a root within a root")
        roots.append(path)
        isOpen = true
    }

    func add(_ parts: [[UInt8]], _ metadata: EntryMetadata, link: [[UInt8]]?) { note(parts) }

    func beginFile(_ parts: [[UInt8]], _ rule: CutRule) {
        note(parts)
        hasFile = true
    }

    func fill(
        atMost limit: Int, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) -> Int {
        note(!hasFile, "content without a file")
        let count = try read(UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(limit, buffer.count)]))
        total += count
        guard total <= Self.most else { throw HoldfastError(.limitExceeded, "enough was read") }
        return count
    }

    func hole(_ length: UInt64) {}
    func boundary() {}

    func endFile(_ metadata: EntryMetadata) {
        note(!hasFile, "a file ends that did not begin")
        hasFile = false
    }

    func endRoot() {
        note(!isOpen || hasFile, "a root ends out of place")
        isOpen = false
    }

    func tree(at path: [UInt8], _ options: TreeReaderOptions) { note(true, "a tree of the file system") }
}
