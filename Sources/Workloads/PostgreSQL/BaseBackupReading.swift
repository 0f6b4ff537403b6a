// From the archives of a base backup to the entries of a snapshot.

import Primitives
import Repository

/// Pushes one base backup into a sink.
///
/// Thread: one, once.
package final class BaseBackupReading {
    private let stream: BaseBackupStream
    private let sink: any EntrySink
    package private(set) var manifest: [UInt8] = []
    /// An instant before the end of the backup, as of which a restore is consistent or later.
    private(set) var consistentAsOf: Timestamp
    /// The owner of the data directory.
    private var owner = EntryMetadata(name: [], kind: .directory)
    private(set) var tablespaces: Set<UInt32> = []
    /// Lengths of the files that came, by their paths below the data directory.
    private(set) var sizes: [[UInt8]: UInt64] = [:]
    private var hasLabel = false
    private var hasControl = false

    package init(_ stream: BaseBackupStream, sink: any EntrySink) {
        self.stream = stream
        self.sink = sink
        consistentAsOf = stream.instantBeforeHere
    }

    /// Reads the stream to its end; the roots are complete then, though the server has not vouched for them yet.
    package func run() throws(HoldfastError) {
        var hasBase = false
        while let part = try stream.nextPart() {
            switch part {
            case .archive(let name, let location):
                guard !hasBase else { throw Self.unexpected("an archive after the data directory") }
                let oid = name.hasSuffix(".tar") ? String(name.dropLast(4)) : name
                if location.isEmpty {
                    hasBase = true
                    try readArchive(PostgresWorkload.rootPath, prefix: [], isBase: true)
                } else {
                    guard let number = UInt32(oid), String(number) == oid else {
                        throw Self.unexpected("a tablespace that has no number")
                    }
                    guard tablespaces.insert(number).inserted else {
                        throw Self.unexpected("tablespace \(number) comes twice")
                    }
                    try readArchive(
                        PostgresWorkload.rootPath(ofTablespace: oid), prefix: Array("pg_tblspc/\(oid)/".utf8),
                        isBase: false)
                    try sink.endRoot()
                }
            case .manifest:
                guard hasBase, manifest.isEmpty else { throw Self.unexpected("a manifest out of place") }
                try readManifest()
            }
        }
        guard hasBase, hasLabel, hasControl, !manifest.isEmpty else {
            throw Self.unexpected("no label, control file or manifest")
        }
        try sink.endRoot()
    }

    private static func unexpected(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the base backup is not whole: \(what)", hint: "Take another; look into the server's log.")
    }

    private func readArchive(_ path: [UInt8], prefix: [UInt8], isBase: Bool) throws(HoldfastError) {
        let archive = try ArchiveReader(BaseBackupArchive(stream))
        var hasRoot = false
        while let member = try archive.next() {
            if !hasRoot {
                // The archive holds no member for the directory itself: it is the owner's of what is in it.
                var root = EntryMetadata(name: [], kind: .directory)
                root.mode = 0o700
                root.user = member.metadata.user
                root.group = member.metadata.group
                root.userName = member.metadata.userName
                root.groupName = member.metadata.groupName
                root.modified = member.metadata.modified
                owner = root
                try sink.beginRoot(path, root, order: .unordered)
                hasRoot = true
            }
            try read(member, archive, prefix, isBase)
        }
        guard !hasRoot else { return }
        guard !isBase else { throw Self.unexpected("the data directory is empty") }
        var root = EntryMetadata(name: [], kind: .directory)
        root.mode = 0o700
        try sink.beginRoot(path, root, order: .unordered)
    }

    private func read(
        _ member: ArchiveMember, _ archive: ArchiveReader, _ prefix: [UInt8], _ isBase: Bool
    ) throws(HoldfastError) {
        let text = member.parts.map { String(decoding: $0, as: UTF8.self) }
        if isBase {
            if text == ["backup_label"] { hasLabel = true }
            if text == ["global", "pg_control"] {
                hasControl = true
                consistentAsOf = stream.instantBeforeHere
            }
        }
        switch member.metadata.kind {
        case .file where member.hardLink == nil:
            try sink.beginFile(member.parts, Self.rule(of: text, member.metadata.size, isBase))
            var size: UInt64 = 0
            while true {
                let count = try sink.fill(
                    atMost: 4 << 20, { (buffer) throws(HoldfastError) in try archive.read(into: buffer) })
                if count == 0 { break }
                size += UInt64(count)
            }
            try sink.endFile(member.metadata)
            sizes[prefix + member.parts.joined(separator: [UInt8(ascii: "/")])] = size
        case .symbolicLink where isBase && text.first == "pg_tblspc":
            // Tablespaces are roots of their own; where they go is decided at the restore.
            break
        default:
            guard member.metadata.kind == .directory || member.metadata.kind == .symbolicLink else {
                throw Self.unexpected("a member of a kind that no cluster has")
            }
            try sink.add(member.parts, member.metadata)
        }
    }

    /// Relations and commit logs are pages of 8 KiB that change in place; the log and small files are not.
    static func rule(of parts: [String], _ size: UInt64, _ isBase: Bool) -> CutRule {
        guard let name = parts.last, size > 0, size % 8192 == 0 else { return .content }
        let area = isBase ? parts.first ?? "" : "base"
        switch area {
        case "base", "global", "pg_tblspc":
            return name.first?.isNumber == true ? .pages : .content
        case "pg_xact", "pg_multixact", "pg_commit_ts": return .pages
        default: return .content
        }
    }

    private func readManifest() throws(HoldfastError) {
        var metadata = owner
        metadata.kind = .file
        metadata.mode = 0o600
        metadata.modified = consistentAsOf
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try stream.read(into: buffer)
            if count == 0 { break }
            guard manifest.count + count <= BackupManifest.maximumSize else {
                throw BackupManifest.damaged("it is over \(BackupManifest.maximumSize >> 20) MiB")
            }
            manifest.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        try sink.file([Array(BackupManifest.fileName.utf8)], metadata, manifest)
    }
}
