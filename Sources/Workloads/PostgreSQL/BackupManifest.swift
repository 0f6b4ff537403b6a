// The manifest that the server sends with a base backup: every file with its size and checksum.
// https://www.postgresql.org/docs/15/backup-manifest-format.html

import Primitives
import Sealing

/// A parsed `backup_manifest`.
///
/// Memory: the manifest and a record for each file, about 300 bytes for each file together.
package struct BackupManifest: Sendable {
    package struct File: Sendable, Hashable {
        /// Below the data directory, tablespaces by their links: `pg_tblspc/16385/…`.
        package var path: [UInt8]
        package var size: UInt64
        package var algorithm: String?
        /// Hexadecimal; of CRC32C the bytes of the number in memory order of the server.
        package var checksum: String?
    }

    package struct Range: Sendable, Hashable {
        package var timeline: UInt32
        package var start: PostgresPosition
        package var end: PostgresPosition
    }

    package static let fileName = "backup_manifest"
    package static let maximumSize = 256 << 20
    /// 1 until PostgreSQL 16, 2 from 17 on.
    static let versions: ClosedRange<UInt64> = 1...2

    package private(set) var files: [File] = []
    package private(set) var ranges: [Range] = []
    /// Of the cluster; manifests of PostgreSQL 17 and newer tell it.
    package private(set) var systemIdentifier: UInt64?

    /// - Throws: `.sourceFailed` for a manifest that is not whole or whose own checksum does not hold.
    package init(_ bytes: [UInt8]) throws(HoldfastError) {
        guard bytes.count <= Self.maximumSize else { throw Self.damaged("it is too large") }
        // The checksum is over all bytes up to its own line.
        guard let last = bytes.dropLast().lastIndex(of: UInt8(ascii: "\n")) else { throw Self.damaged("it ends early") }
        let body = Array(bytes[...last])
        let digest = SHA256.digest(body.span.bytes)
        var reader = ManifestReader(bytes)
        var stated: String?
        var version: UInt64?
        try reader.object { (key, reader) throws(HoldfastError) in
            switch key {
            case "PostgreSQL-Backup-Manifest-Version": version = try reader.number()
            case "System-Identifier": systemIdentifier = try reader.number()
            case "Files": try reader.array { (reader) throws(HoldfastError) in files.append(try reader.file()) }
            case "WAL-Ranges": try reader.array { (reader) throws(HoldfastError) in ranges.append(try reader.range()) }
            case "Manifest-Checksum": stated = try reader.text()
            default: try reader.skip()
            }
        }
        guard let version else { throw Self.damaged("it tells no version") }
        guard Self.versions.contains(version) else { throw Self.unknown(version) }
        guard stated == Hex.encode(digest.array) else { throw Self.damaged("its own checksum does not hold") }
        guard !ranges.isEmpty else { throw Self.damaged("it names no WAL") }
    }

    /// The manifest of all but the files of these names in the data directory itself.
    func without(_ names: [String]) -> BackupManifest {
        var rest = self
        rest.files.removeAll { file in names.contains { file.path.elementsEqual($0.utf8) } }
        return rest
    }

    /// Holds what was read to the manifest, so that nothing is committed that no restore could verify.
    ///
    /// - Parameter sizes: What came, by path below the data directory, in bytes.
    /// - Throws: `.sourceFailed` naming the first file that did not come, or not whole.
    func compare(with sizes: [[UInt8]: UInt64]) throws(HoldfastError) {
        for file in files {
            guard let size = sizes[file.path] else {
                throw Self.incomplete("\(printablePath(file.path)) did not come")
            }
            guard size == file.size else {
                throw Self.incomplete("\(printablePath(file.path)) came with \(size) bytes instead of \(file.size)")
            }
        }
    }

    private static func incomplete(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the base backup is not what its manifest says: \(what)",
            hint: "Take another backup; if this comes again, look into the server's log.")
    }

    private static func unknown(_ version: UInt64) -> HoldfastError {
        HoldfastError(
            .sourceFailed,
            "the manifest of the base backup is of version \(version), and this holdfast knows "
                + "\(versions.lowerBound) to \(versions.upperBound)",
            hint: "The server is newer than this holdfast: upgrade it.")
    }

    static func damaged(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the manifest of the base backup is damaged: \(what)",
            hint: "Take another backup; if this comes again, look into the server's log.")
    }
}

/// Reads JSON of the manifest's shape, and steps over what a later version adds.
private struct ManifestReader {
    private static let mostDepth = 16

    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func broken() -> HoldfastError { BackupManifest.damaged("it is no JSON at byte \(offset)") }

    private mutating func peek() throws(HoldfastError) -> UInt8 {
        while offset < bytes.count {
            let byte = bytes[offset]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            offset += 1
        }
        throw broken()
    }

    private mutating func take(_ character: Unicode.Scalar) throws(HoldfastError) {
        guard try peek() == UInt8(ascii: character) else { throw broken() }
        offset += 1
    }

    /// Whether `character` comes next, which is then taken.
    private mutating func has(_ character: Unicode.Scalar) throws(HoldfastError) -> Bool {
        guard try peek() == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    mutating func object(
        _ member: (String, inout ManifestReader) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try take("{")
        if try has("}") { return }
        repeat {
            let key = try text()
            try take(":")
            try member(key, &self)
        } while try has(",")
        try take("}")
    }

    mutating func array(_ element: (inout ManifestReader) throws(HoldfastError) -> Void) throws(HoldfastError) {
        try take("[")
        if try has("]") { return }
        repeat { try element(&self) } while try has(",")
        try take("]")
    }

    mutating func number() throws(HoldfastError) -> UInt64 {
        _ = try peek()
        let start = offset
        while offset < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[offset]) { offset += 1 }
        guard let value = UInt64(String(decoding: bytes[start..<offset], as: UTF8.self)) else { throw broken() }
        return value
    }

    mutating func text() throws(HoldfastError) -> String {
        guard let text = String(validating: try textBytes(), as: UTF8.self) else { throw broken() }
        return text
    }

    mutating func textBytes() throws(HoldfastError) -> [UInt8] {
        try take("\"")
        var found: [UInt8] = []
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == UInt8(ascii: "\"") { return found }
            guard byte == UInt8(ascii: "\\") else {
                found.append(byte)
                continue
            }
            found.append(contentsOf: try escape())
        }
        throw broken()
    }

    private mutating func escape() throws(HoldfastError) -> [UInt8] {
        guard offset < bytes.count else { throw broken() }
        defer { offset += 1 }
        switch bytes[offset] {
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "u"):
            guard offset + 4 < bytes.count,
                let value = UInt32(String(decoding: bytes[offset + 1...offset + 4], as: UTF8.self), radix: 16),
                let scalar = Unicode.Scalar(value)
            else { throw broken() }
            offset += 4
            return Array(String(Character(scalar)).utf8)
        case let byte: return [byte]
        }
    }

    mutating func skip(depth: Int = 0) throws(HoldfastError) {
        guard depth < Self.mostDepth else { throw broken() }
        switch try peek() {
        case UInt8(ascii: "{"): try object { (_, reader) throws(HoldfastError) in try reader.skip(depth: depth + 1) }
        case UInt8(ascii: "["): try array { (reader) throws(HoldfastError) in try reader.skip(depth: depth + 1) }
        case UInt8(ascii: "\""): _ = try textBytes()
        default:
            let start = offset
            let ends = Array(",]} \n\r\t".utf8)
            while offset < bytes.count, !ends.contains(bytes[offset]) { offset += 1 }
            guard offset > start else { throw broken() }
        }
    }

    mutating func file() throws(HoldfastError) -> BackupManifest.File {
        var file = BackupManifest.File(path: [], size: 0)
        var hasSize = false
        try object { (key, reader) throws(HoldfastError) in
            switch key {
            case "Path": file.path = try reader.textBytes()
            case "Encoded-Path":
                guard let path = Hex.decode(try reader.text()) else { throw reader.broken() }
                file.path = path
            case "Size":
                file.size = try reader.number()
                hasSize = true
            case "Checksum-Algorithm": file.algorithm = try reader.text()
            case "Checksum": file.checksum = try reader.text()
            default: try reader.skip()
            }
        }
        guard !file.path.isEmpty, hasSize else { throw BackupManifest.damaged("a file has no name or no size") }
        return file
    }

    mutating func range() throws(HoldfastError) -> BackupManifest.Range {
        var timeline: UInt64?
        var start: PostgresPosition?
        var end: PostgresPosition?
        try object { (key, reader) throws(HoldfastError) in
            switch key {
            case "Timeline": timeline = try reader.number()
            case "Start-LSN": start = PostgresPosition(try reader.text())
            case "End-LSN": end = PostgresPosition(try reader.text())
            default: try reader.skip()
            }
        }
        guard let start, let end, let number = timeline.flatMap({ UInt32(exactly: $0) }) else {
            throw BackupManifest.damaged("a range of WAL is not whole")
        }
        return BackupManifest.Range(timeline: number, start: start, end: end)
    }
}
