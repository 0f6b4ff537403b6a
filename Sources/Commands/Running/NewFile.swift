// A result that goes into a file which was not there before.

import Compliance
import Glibc
import Primitives

/// A file that gets its name when all of it is on stable storage; until then there is none of that name.
///
/// Thread: one at a time.
final class NewFile: ReportSink {
    private let path: String
    private let unfinished: String
    private let file: Int32
    private var isFinished = false

    /// - Throws: `.usage` when there is a file of that name, which is left alone; what open(2) says.
    init(_ path: String, entropy: any Entropy) throws(HoldfastError) {
        self.path = path
        guard access(path, F_OK) != 0 else { throw Self.taken(path) }
        unfinished = path + "." + Hex.encode(try entropy.bytes(6)) + ".unfinished"
        let name = unfinished
        let (file, number) = retryingInterrupts { open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
        guard file >= 0 else { throw HoldfastError.systemCall("create", number, on: path) }
        self.file = file
    }

    deinit {
        close(file)
        if !isFinished { unlink(unfinished) }
    }

    private static func taken(_ path: String) -> HoldfastError {
        HoldfastError(
            .usage, "there is a file \(path) already", hint: "Give a name that is not taken, or remove the file.")
    }

    func write(_ bytes: [UInt8]) throws(HoldfastError) {
        var start = 0
        while start < bytes.count {
            let (count, number) = bytes.withUnsafeBytes { raw in
                retryingInterrupts { Glibc.write(file, raw.baseAddress.map { $0 + start }, raw.count - start) }
            }
            guard count > 0 else { throw HoldfastError.systemCall("write", count < 0 ? number : ENOSPC, on: path) }
            start += count
        }
    }

    /// - Durability: on return the bytes and the name are on stable storage.
    func finish() throws(HoldfastError) {
        guard fsync(file) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: path) }
        // A link replaces nothing that came meanwhile.
        guard link(unfinished, path) == 0 else {
            throw errno == EEXIST ? Self.taken(path) : HoldfastError.systemCall("link", errno, on: path)
        }
        unlink(unfinished)
        isFinished = true
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        try syncDirectory(parent)
    }
}

/// Small writes put together, in front of a file or of standard output.
struct GatheringSink<Sink: ReportSink>: ReportSink {
    private var pending: [UInt8] = []
    private(set) var sink: Sink
    private static var piece: Int { 1 << 20 }

    init(_ sink: Sink) { self.sink = sink }

    mutating func write(_ bytes: [UInt8]) throws(HoldfastError) {
        pending += bytes
        if pending.count >= Self.piece { try flush() }
    }

    mutating func flush() throws(HoldfastError) {
        try sink.write(pending)
        pending.removeAll(keepingCapacity: true)
    }
}
