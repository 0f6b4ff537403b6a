// What pg_dump prints, and what pg_dumpall does.

import Primitives
import Workloads

extension Fuzzer {
    /// An archive, followed whole and in pieces as long as its first byte says: both come to the same.
    func dumpArchive(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        guard let first = input.first else { return .refused }
        let bytes = Array(input.dropFirst())
        let whole = try follow(bytes, by: bytes.count)
        let pieces = try follow(bytes, by: Int(first) + 1)
        guard whole.items == pieces.items, whole.blocks == pieces.blocks, whole.rows == pieces.rows,
            whole.entriesDigest == pieces.entriesDigest
        else { return .wrong("an archive in pieces is another than the whole") }
        return .accepted
    }

    private func follow(_ bytes: [UInt8], by step: Int) throws(HoldfastError) -> DumpScanner {
        var scanner = DumpScanner(keepsAll: true)
        let span = bytes.span.bytes
        try span.withUnsafeBytes { (raw) throws(HoldfastError) in
            var at = 0
            while at < raw.count {
                let end = min(raw.count, at + max(1, step))
                at += try scanner.advance(UnsafeRawBufferPointer(rebasing: raw[at..<end])).count
            }
        }
        try scanner.finish()
        return scanner
    }
}
