// The lines of the audit log, one after the other.

import Glibc
import Primitives

/// A line as it stands in a segment.
package struct AuditLine: Sendable {
    package var segment: String
    /// Counts from one in its segment.
    package var number: Int
    /// Without its end.
    package var bytes: [UInt8]
    /// False when its end is missing: nothing follows it in its segment.
    package var isWhole: Bool

    package var place: String { "\(segment):\(number)" }
}

/// Reads a log from its beginning to where it ended when the reading began.
///
/// Memory: one line, and a window of 64 KiB. Others may append meanwhile.
package struct AuditReader: Sendable {
    let files: AuditFiles
    let clock: any Primitives.Clock

    /// - Parameter directory: Of the state.
    package init(state directory: String, clock: any Primitives.Clock) {
        files = AuditFiles(directory: Host.absolutePath("\(directory)/\(AuditLog.directoryName)"))
        self.clock = clock
    }

    package var directory: String { files.directory }

    /// Shows every line to `body` until that says false.
    ///
    /// - Throws: `.objectMissing` when there is no log; what the system says, and what `body` throws.
    package func visit(_ body: (AuditLine) throws(HoldfastError) -> Bool) throws(HoldfastError) {
        let segments = try sizes()
        guard !segments.isEmpty else {
            throw HoldfastError(
                .objectMissing, "there is no audit log in \(files.directory)",
                hint: "The first access to the value of a secret makes it. Name another state with --state-dir.")
        }
        for segment in segments {
            guard try visit(segment, body) else { return }
        }
    }

    /// Between two groups of records, not in the middle of one, where the lock may be had.
    private func sizes() throws(HoldfastError) -> [AuditFiles.Segment] {
        do throws(HoldfastError) {
            let lock = try files.lock(clock, patience: AuditLimits.patience, makes: false)
            defer { withExtendedLifetime(lock) {} }
            return try files.segments()
        } catch {
            // A copy without the lock, or another user's.
            guard error.code == .objectMissing || error.code == .accessDenied else { throw error }
            return try files.segments()
        }
    }

    private func visit(
        _ segment: AuditFiles.Segment, _ body: (AuditLine) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) -> Bool {
        let file = try files.open(segment.name, O_RDONLY)
        var (offset, number) = (0, 0)
        var line: [UInt8] = []
        while offset < segment.size {
            let piece = try file.read(offset..<min(segment.size, offset + 1 << 16))
            guard !piece.isEmpty else { break }
            offset += piece.count
            var rest = piece[...]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                append(rest[..<end], to: &line)
                number += 1
                guard try body(AuditLine(segment: segment.name, number: number, bytes: line, isWhole: true)) else {
                    return false
                }
                line = []
                rest = rest[(end + 1)...]
            }
            append(rest, to: &line)
        }
        guard !line.isEmpty else { return true }
        return try body(AuditLine(segment: segment.name, number: number + 1, bytes: line, isWhole: false))
    }

    /// What is over the limit is no record, whatever else it is.
    private func append(_ bytes: ArraySlice<UInt8>, to line: inout [UInt8]) {
        line += bytes.prefix(max(0, AuditRecord.maximumLine - line.count))
    }
}
