// The messages of a base backup's copy: archives one after the other, then the manifest.
// https://www.postgresql.org/docs/15/protocol-replication.html

import Primitives

/// The parts of a base backup, taken in order, each read to its end.
///
/// What comes in is the server's: nothing of it is believed.
/// Thread: one at a time.
package final class BaseBackupStream: @unchecked Sendable {
    // Sendable: handed on as a whole with the archives that read from it, all used by one thread.

    /// What comes next in the stream.
    package enum Part: Sendable, Hashable {
        /// A tar archive; the location is empty for the data directory.
        case archive(name: String, location: String)
        case manifest
    }

    /// Takes one message.
    package typealias Taking = (UnsafeRawBufferPointer) throws(HoldfastError) -> Void

    /// The most that may lie in the buffers between the server and this process.
    private static let inFlight: UInt64 = 16 << 20

    private let next: (Taking) throws(HoldfastError) -> Bool
    private let endedEarly: () throws(HoldfastError) -> Void
    private let clock: any Clock
    /// The message at hand; what of it was read lies before `offset`.
    private var message: [UInt8] = []
    private var offset = 0
    private var following: Part?
    private(set) var isOver = false
    private var hasManifest = false
    private var received: UInt64 = 0
    private var marks: [(received: UInt64, instant: Timestamp)]

    /// - Parameters:
    ///   - next: Gives the next message; false at the end.
    ///   - endedEarly: Throws why the messages ended before the manifest, when that is known.
    package init(
        clock: any Clock, next: @escaping (Taking) throws(HoldfastError) -> Bool,
        endedEarly: @escaping () throws(HoldfastError) -> Void
    ) {
        self.next = next
        self.endedEarly = endedEarly
        self.clock = clock
        marks = [(0, clock.now())]
    }

    static func unexpected(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the PostgreSQL server sent what was not expected in \(what)",
            hint: "Check that the server is PostgreSQL 15 or newer, and no proxy for it.")
    }

    /// The next part; nil when the stream is over. What is left of the part before must have been read.
    package func nextPart() throws(HoldfastError) -> Part? {
        while following == nil, !isOver {
            if offset < message.count { throw Self.unexpected("a part that goes on after its end") }
            try receive()
        }
        defer { following = nil }
        return following
    }

    /// Bytes of the part at hand; 0 at its end.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        while offset == message.count {
            if following != nil || isOver { return 0 }
            try receive()
        }
        let count = min(buffer.count, message.count - offset)
        message.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        offset += count
        return count
    }

    /// An instant that the server had not passed when it sent what was received last.
    ///
    /// The server runs ahead by what the buffers between hold; so the instant is that of an earlier byte.
    package var instantBeforeHere: Timestamp {
        let bound = received < Self.inFlight ? 0 : received - Self.inFlight
        return marks.last { $0.received <= bound }?.instant ?? marks[0].instant
    }

    private func receive() throws(HoldfastError) {
        message.removeAll(keepingCapacity: true)
        offset = 0
        let hasMore = try next { (bytes) throws(HoldfastError) in
            received += UInt64(bytes.count)
            let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
            switch bytes.first {
            case UInt8(ascii: "d"): message.append(contentsOf: rest)
            case UInt8(ascii: "n"):
                let fields = rest.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
                guard fields.count == 3, let name = String(validating: fields[0], as: UTF8.self),
                    let location = String(validating: fields[1], as: UTF8.self)
                else { throw Self.unexpected("the head of an archive") }
                following = .archive(name: name, location: location)
            case UInt8(ascii: "m"):
                following = .manifest
                hasManifest = true
            case UInt8(ascii: "p"): break
            default: throw Self.unexpected("a message of its stream")
            }
        }
        if !hasMore {
            isOver = true
            // A stream that ends before the manifest was broken off.
            if !hasManifest {
                try endedEarly()
                throw Self.unexpected("its stream, which ends early")
            }
        }
        if received - (marks.last?.received ?? 0) >= 1 << 20 {
            marks.append((received, clock.now()))
            if marks.count > 64 { marks.removeFirst(marks.count - 32) }
        }
    }
}

/// One archive of a base backup.
final class BaseBackupArchive: ByteStream, @unchecked Sendable {
    // Sendable: as the stream that it reads from.
    private let stream: BaseBackupStream
    private(set) var count: UInt64 = 0

    init(_ stream: BaseBackupStream) { self.stream = stream }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        let read = try stream.read(into: buffer)
        count += UInt64(read)
        return read
    }

    /// The server says at the end of the whole backup whether it was whole.
    func finish() throws(HoldfastError) {}
}
