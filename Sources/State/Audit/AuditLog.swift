// The audit log on disk: append-only, chained by digests, durable before what it tells of.

import Glibc
import Primitives
import Sealing
import Synchronization

/// The log of one state: `audit/` in its directory, mode 0700, files mode 0600, since names of secrets are in it.
///
/// Concurrency: threads and processes append in turn, by flock(2) on `audit/lock`, waited for within a bound. A kill at
/// any moment leaves whole records and at most one that was not finished; the next append keeps that in a file of its
/// own and says so in the chain. Format: docs/AUDIT.md.
package final class AuditLog: AuditTrail {
    package static let directoryName = "audit"

    /// The end of what is there.
    private struct Tail: Sendable {
        var head: AuditHead?
        /// The last segment.
        var segment: AuditFiles.Segment?
        var torn: [UInt8] = []
    }

    let files: AuditFiles
    private let actor: AuditActor
    private let clock: any Primitives.Clock
    private let entropy: any Entropy
    private let patience: Duration
    private let segmentSize: Int
    private let write: AuditFiles.Write
    private let sync: @Sendable (Int32) -> Int32
    private let remark: @Sendable (String) -> Void
    private let known = Mutex<Tail?>(nil)

    /// - Parameters:
    ///   - directory: Of the state. Nothing is made before the first append.
    ///   - segmentSize: When a segment is followed by another.
    ///   - write, sync: write(2) and fsync(2), or what a test puts in their place.
    ///   - remark: Hears of what was set aside.
    package init(
        state directory: String, actor: AuditActor, clock: any Primitives.Clock, entropy: any Entropy,
        patience: Duration = AuditLimits.patience, segmentSize: ByteCount = AuditLimits.segment,
        write: @escaping @Sendable (Int32, UnsafeRawPointer?, Int) -> Int = { Glibc.write($0, $1, $2) },
        sync: @escaping @Sendable (Int32) -> Int32 = { fsync($0) },
        remark: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        files = AuditFiles(directory: Host.absolutePath("\(directory)/\(Self.directoryName)"))
        self.actor = actor
        self.clock = clock
        self.entropy = entropy
        self.patience = patience
        self.segmentSize = Int(segmentSize.bytes)
        self.write = write
        self.sync = sync
        self.remark = remark
    }

    package var directory: String { files.directory }

    // MARK: Appending

    package func append(_ entries: [AuditEntry]) throws(HoldfastError) -> UInt64 {
        precondition(!entries.isEmpty && entries.count <= AuditLimits.group, "a group is bounded")
        do throws(HoldfastError) {
            try files.makeDirectory()
            let lock = try files.lock(clock, patience: patience, makes: true)
            defer { withExtendedLifetime(lock) {} }
            return try appendLocked(entries)
        } catch {
            throw Self.refusal(error, files.directory)
        }
    }

    private func appendLocked(_ entries: [AuditEntry]) throws(HoldfastError) -> UInt64 {
        var tail = try tail()
        var entries = entries
        var offset: UInt64 = 0
        if !tail.torn.isEmpty, let segment = tail.segment {
            let name = try files.setAside(tail.torn, of: segment.name, keeping: segment.size, sync: sync)
            let reason = "\(tail.torn.count) bytes of a record that was not finished are in \(name)"
            remark("the audit log was not finished when its writer died: \(reason)")
            entries.insert(AuditEntry(.recovered, vault: "", reason: reason), at: 0)
            offset = 1
            tail.torn = []
        }
        let head = tail.head
        let log = if let head { head.log } else { try entropy.bytes16() }
        var (sequence, digest) = (head?.count ?? 0, head?.digest ?? Bytes32())
        let now = clock.now()
        var text: [UInt8] = []
        for entry in entries {
            sequence += 1
            let record = AuditRecord(
                log: log, sequence: sequence, time: now, actor: actor, entry: entry, previous: digest)
            let line = record.line
            guard line.bytes.count <= AuditRecord.maximumLine else {
                throw HoldfastError(
                    .limitExceeded, "a record of the audit log would have \(line.bytes.count) bytes",
                    hint: "Give a shorter --reason, or a shorter name.")
            }
            text += line.bytes
            digest = line.digest
        }
        let first = (head?.count ?? 0) + 1
        let segment = try write(text, startingWith: first, after: tail.segment)
        let made = AuditHead(log: log, count: sequence, digest: digest)
        known.withLock { $0 = Tail(head: made, segment: segment) }
        return first + offset
    }

    /// Writes whole lines, and takes them back when they can't be made durable.
    private func write(
        _ text: [UInt8], startingWith first: UInt64, after last: AuditFiles.Segment?
    ) throws(HoldfastError) -> AuditFiles.Segment {
        var segment = AuditFiles.Segment(name: AuditFiles.name(first: first), size: 0)
        if let last, last.size == 0 || last.size + text.count <= segmentSize { segment = last }
        let isNew = segment.size == 0
        let file = try files.open(segment.name, O_WRONLY | O_APPEND | O_CREAT)
        do throws(HoldfastError) {
            try file.write(text, by: write)
            guard sync(file.number) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: file.path) }
            if isNew { try syncDirectory(files.directory) }
        } catch {
            // What stays would tell of an access that did not take place; it would not break the chain.
            ftruncate(file.number, off_t(segment.size))
            _ = sync(file.number)
            throw error
        }
        segment.size += text.count
        return segment
    }

    /// What an operator reads when a value was not given out for the log's sake.
    private static func refusal(_ error: HoldfastError, _ directory: String) -> HoldfastError {
        let what = "no access to a secret without a record of it in \(directory): \(error.message)"
        let hint =
            error.code == .noSpace
            ? "Free some space on that file system, or name another place with --state-dir." : error.hint
        return HoldfastError(
            error.code, what, hint: hint, context: error.context.map { ($0.key, $0.value) }, cause: error.cause,
            retry: error.code == .noSpace ? .later : error.retry)
    }

    // MARK: The end

    package func head() throws(HoldfastError) -> AuditHead? {
        guard !(try files.segments()).isEmpty else { return nil }
        let lock: OpenedFile?
        do throws(HoldfastError) {
            lock = try files.lock(clock, patience: patience, makes: false)
        } catch {
            // A state that was restored without its empty lock: nobody has appended to it since.
            guard error.code == .objectMissing else { throw error }
            lock = nil
        }
        defer { withExtendedLifetime(lock) {} }
        return try tail().head
    }

    /// The newest whole record and where it ends. The lock is held.
    private func tail() throws(HoldfastError) -> Tail {
        var segments = try files.segments()
        if let known = known.withLock({ $0 }), known.segment == segments.last { return known }
        var tail = Tail(segment: segments.last)
        guard let last = segments.last else { return tail }
        var (lines, torn) = try ending(of: last)
        tail.torn = torn
        tail.segment?.size -= torn.count
        // A segment whose first record was not finished: the newest is in the one before.
        while lines.isEmpty, segments.count > 1 {
            segments.removeLast()
            (lines, torn) = try ending(of: segments[segments.count - 1])
            guard torn.isEmpty else { throw damaged("a segment that another follows is not finished") }
        }
        guard !lines.isEmpty else { return tail }
        let start = lines.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        switch AuditLineContent(Array(lines[start...])) {
        case .record(let record, let digest):
            tail.head = AuditHead(log: record.log, count: record.sequence, digest: digest)
        case .damaged(let why, _): throw damaged("its last record is damaged: \(why)")
        case .newer(let format):
            throw HoldfastError(
                .unsupportedFormat, "the audit log in \(files.directory) is of a newer holdfast (format \(format))",
                hint: "Use the version that wrote it, or a newer one.")
        }
        return tail
    }

    /// The last lines of a segment without the last line's end, and what stands behind it.
    private func ending(of segment: AuditFiles.Segment) throws(HoldfastError) -> (lines: [UInt8], torn: [UInt8]) {
        let start = max(0, segment.size - AuditLimits.tail)
        let bytes = try files.read(segment.name, start..<segment.size)
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else {
            guard start == 0 else { throw damaged("\(segment.name) ends with no record") }
            return ([], bytes)
        }
        return (Array(bytes[..<end]), Array(bytes[(end + 1)...]))
    }

    private func damaged(_ why: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "the audit log in \(files.directory) can't go on: \(why)",
            hint: "See what is wrong with `holdfast audit verify`, find out who did it, and move the directory away as "
                + "it is; a new log is begun then.")
    }
}
