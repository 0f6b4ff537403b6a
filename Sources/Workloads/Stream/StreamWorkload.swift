// stdin: and commands: a stream of bytes, whole or taken apart into the members of a tar archive.

import Primitives
import Repository

/// One stream under a name.
package struct StreamWorkload: Workload {
    package enum Origin: Sendable, Hashable {
        /// An open descriptor, which stays the caller's.
        case descriptor(Int32)
        /// A program with its arguments, which must exit 0.
        case command([String])
    }

    package static var capabilities: WorkloadCapabilities { WorkloadCapabilities() }

    /// Notes of an archive's reader that are kept.
    private static let maximumNotes = 100

    private let name: String
    private let origin: Origin
    private let options: WorkloadOptions

    /// - Returns: nil when `name` cannot be that of a file.
    package init?(name: String, options: WorkloadOptions) {
        guard isSafeName(Array(name.utf8)) else { return nil }
        self.init(name: name, options.command.isEmpty ? .descriptor(0) : .command(options.command), options)
    }

    /// - Parameter name: May hold slashes.
    package init(name: String, _ origin: Origin, _ options: WorkloadOptions = WorkloadOptions()) {
        self.name = name
        self.origin = origin
        self.options = options
    }

    package var identity: WorkloadIdentity {
        if case .command = origin { return WorkloadIdentity(kind: "command", url: "stdin:\(name)") }
        return WorkloadIdentity(kind: "stdin", url: "stdin:\(name)")
    }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    /// Whether the command's program is found; a stream cannot be looked at before it is read.
    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        guard case .command(let words) = origin else {
            return [WorkloadFinding(.good, "stream", "is looked at when it is read")]
        }
        return [ProgramSearch.finding(words, as: "program")]
    }

    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        var outcome = ReadOutcome()
        let stream: any ByteStream
        switch origin {
        case .descriptor(let descriptor):
            stream = StreamSource(
                descriptor: descriptor, minimumSize: options.minimumSize, cancellation: context.cancellation)
        case .command(let arguments):
            stream = try CommandSource(
                ProcessRequest(arguments), runner: context.runner, minimumSize: options.minimumSize,
                cancellation: context.cancellation)
            // The program alone: arguments may hold what should not be in a snapshot.
            outcome.facts["producer"] = arguments.first ?? ""
            outcome.facts["exitStatus"] = "0"
        }
        if options.unpack {
            let notes = try unpack(stream, into: sink, context)
            if !notes.isEmpty { outcome.facts["archiveNotes"] = notes.joined(separator: "; ") }
            return outcome
        }
        let metadata = root(.file, context)
        try sink.beginRoot(Array(name.utf8), metadata, order: .sorted)
        try sink.beginFile([], .content)
        try Self.push(into: sink) { (buffer) throws(HoldfastError) in try stream.fill(buffer) }
        try stream.finish()
        try sink.endFile(metadata)
        try sink.endRoot()
        return outcome
    }

    private func root(_ kind: EntryKind, _ context: WorkloadContext) -> EntryMetadata {
        var root = EntryMetadata(name: kind == .directory ? [] : Array(name.utf8), kind: kind)
        root.mode = kind == .directory ? 0o700 : 0o600
        root.modified = context.clock.now()
        return root
    }

    private static func push(
        into sink: any EntrySink, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) {
        while try sink.fill(atMost: 4 << 20, read) > 0 {}
    }

    /// Takes a tar stream apart.
    private func unpack(
        _ stream: any ByteStream, into sink: any EntrySink, _ context: WorkloadContext
    ) throws(HoldfastError) -> [String] {
        let archive = try ArchiveReader(stream)
        var notes: [String] = []
        try sink.beginRoot(Array(name.utf8), root(.directory, context), order: .unordered)
        while let member = try archive.next() {
            notes.append(contentsOf: member.notes.prefix(max(0, Self.maximumNotes - notes.count)))
            if member.metadata.kind == .file, member.hardLink == nil {
                try sink.beginFile(member.parts, .content)
                try Self.push(into: sink) { (buffer) throws(HoldfastError) in try archive.read(into: buffer) }
                try sink.endFile(member.metadata)
            } else {
                try sink.add(member.parts, member.metadata, link: member.hardLink)
            }
        }
        try stream.finish()
        try sink.endRoot()
        return notes
    }

    /// That each root is there; see ``RestoredCopy/checkRoots()``.
    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] { copy.checkRoots() }
}
