// Takes what a workload pushes, and feeds the batches with it.

import Chunking
import Primitives
import Repository
import Workloads

/// The sink of a backup.
///
/// Thread: the reader's alone.
final class EntryGatherer: EntrySink {
    /// Entries of one root without order, whose metadata are all in memory.
    private static let mostMembers = 8_000_000

    private let session: WriterSession
    private let filler: BatchFiller
    private let builder: TreeBuilder
    private let options: BackupOptions
    private let parents: SnapshotTree?
    private let parentRoots: [SnapshotRoot]
    private let failures: FailureList
    private let limit: ByteRateLimit?
    /// Paths of the roots that were read, in their order.
    private(set) var paths: [[UInt8]] = []

    private var known = ParentFiles(nil, tree: nil)
    private var members: MemberTree?
    private var memberCount = 0
    private var nextKey = 0
    /// Directories of a sorted root that are open, as parts of one path.
    private var open: [[UInt8]] = []
    private var file: (parts: [[UInt8]], rule: CutRule, places: ParentPieces)?

    init(
        _ session: WriterSession, filler: BatchFiller, builder: TreeBuilder, options: BackupOptions,
        parents: SnapshotTree?, parentRoots: [SnapshotRoot], failures: FailureList, limit: ByteRateLimit?
    ) {
        self.session = session
        self.filler = filler
        self.builder = builder
        self.options = options
        self.parents = parents
        self.parentRoots = parentRoots
        self.failures = failures
        self.limit = limit
    }

    private func parentRoot(_ path: [UInt8]) -> Entry? { parentRoots.first { $0.path == path }?.entry }

    // MARK: Roots

    func beginRoot(_ path: [UInt8], _ metadata: EntryMetadata, order: EntryOrder) throws(HoldfastError) {
        precondition(members == nil && open.isEmpty && file == nil, "roots come one after the other")
        paths.append(path)
        known = ParentFiles(parentRoot(path), tree: parents)
        found = nil
        memberCount = 0
        guard metadata.kind == .directory else { return }
        switch order {
        case .sorted:
            try filler.add(.beginDirectory(metadata))
            isRootOpen = true
        case .unordered: members = MemberTree(metadata)
        }
    }

    private var isRootOpen = false
    /// The version that was looked up last in the parent: one is asked for twice, whether it is held, and to keep it.
    private var found: (parts: [[UInt8]], attributes: [ExtendedAttribute], content: Content?)?
    /// Paths and messages of failures that were noted.
    private var failedSecrets: Set<[UInt8]> = []

    func endRoot() throws(HoldfastError) {
        precondition(file == nil, "a root ends after its files")
        if let members {
            // The contents are known once all batches have gone through.
            try filler.finish()
            try members.emit(to: filler, contents: builder.takeDetached())
            self.members = nil
        } else if isRootOpen {
            try close(to: [])
            try filler.add(.endDirectory)
            isRootOpen = false
        }
    }

    func tree(at path: [UInt8], _ options: TreeReaderOptions) throws(HoldfastError) {
        failures.root = path
        let root: DirectoryHandle
        do throws(HoldfastError) {
            var limited = options
            limited.readLimit = limit
            root = try DirectoryHandle.open(path: path, options: limited)
        } catch {
            // The other sources go on.
            guard failures.isOfSource(error) else { throw error }
            return failures.add([], error)
        }
        let scanner = TreeScanner(
            session, filler: filler, options: self.options, parents: parents, failures: failures)
        try scanner.scan(root, parent: parentRoot(path))
        paths.append(path)
    }

    // MARK: Entries

    func add(_ parts: [[UInt8]], _ metadata: EntryMetadata, link: [[UInt8]]?) throws(HoldfastError) {
        try check(parts)
        if let members {
            return try members.add(
                parts, metadata, content: nil, link: link, isLinkable: metadata.kind != .directory)
        }
        precondition(link == nil, "links go with unordered roots")
        guard let name = parts.last else { return }
        var metadata = metadata
        metadata.name = name
        try close(to: Array(parts.dropLast()))
        if metadata.kind == .directory {
            try filler.add(.beginDirectory(metadata))
            open.append(name)
        } else {
            try filler.add(.entry(Entry(metadata)))
        }
    }

    fileprivate func check(_ parts: [[UInt8]]) throws(HoldfastError) {
        guard parts.allSatisfy(isSafeName) else {
            throw HoldfastError(
                .unsafePath, "the source holds a member whose path leads elsewhere",
                hint: "For an archive, back it up without --unpack.",
                context: [("path", printablePath(joinedPath(parts)))])
        }
        memberCount += 1
        guard members == nil || memberCount <= Self.mostMembers else {
            throw HoldfastError(
                .limitExceeded, "the source holds more than \(Self.mostMembers) members", hint: "Split the source.")
        }
    }

    /// Ends the open directories of a sorted root that are not on the way to `parts`.
    private func close(to parts: [[UInt8]]) throws(HoldfastError) {
        while !parts.starts(with: open) {
            try filler.add(.endDirectory)
            open.removeLast()
        }
        precondition(open == parts, "a directory comes before what is in it")
    }

    // MARK: Files

    func beginFile(_ parts: [[UInt8]], _ rule: CutRule) throws(HoldfastError) {
        precondition(file == nil, "files come one after the other")
        try check(parts)
        if members == nil { try close(to: Array(parts.dropLast())) }
        let parent = rule == .pages ? known.entry(at: parts)?.content : nil
        try filler.add(.beginFile(rule, parent: parent))
        file = (parts, rule, ParentPieces(parent, tree: parents))
    }

    func fill(
        atMost limit: Int, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) -> Int {
        let most = min(max(1, limit), ContentJob.capacity / 2)
        let count = try filler.fill(atMost: most) { (buffer) throws(HoldfastError) in
            let count = try read(buffer)
            // Paid for afterwards: how much comes is not known before.
            self.limit?.take(ByteCount(count))
            return count
        }
        try cut(isFinal: false)
        return count
    }

    private func cut(isFinal: Bool) throws(HoldfastError) {
        guard let file else { preconditionFailure("bytes belong to a file") }
        switch file.rule {
        case .pages: try filler.cutBlocks(isFinal: isFinal) { () throws(HoldfastError) in file.places.next() }
        case .content: try filler.cutContent(isFinal: isFinal)
        case .secret: try filler.cutWhole(.secret, isFinal: isFinal)
        }
    }

    func hole(_ length: UInt64) throws(HoldfastError) {
        try cut(isFinal: true)
        try filler.add(.hole(length))
        if let file, file.rule == .pages { try file.places.skip(length) }
    }

    func boundary() throws(HoldfastError) {
        precondition(file?.rule == .content, "pages have boundaries of their own")
        try cut(isFinal: true)
    }

    func endFile(_ metadata: EntryMetadata) throws(HoldfastError) {
        try cut(isFinal: true)
        guard let file else { return }
        let parts = file.parts
        self.file = nil
        var metadata = metadata
        metadata.kind = .file
        if let name = parts.last { metadata.name = name }
        if let members {
            try filler.add(.endDetached(nextKey))
            try members.add(
                parts, metadata, content: .toCome(nextKey), link: nil, isLinkable: file.rule != .secret)
            nextKey += 1
        } else {
            try filler.add(.endFile(metadata))
        }
    }
}

// MARK: Secrets

extension EntryGatherer: SecretSink {

    /// Nothing, where there is no value: a file without a content would be one that is missing.
    private static let noValue = Content(rule: .content, blockShift: 0, size: 0, location: .inline([]))

    func hadSecrets() throws(HoldfastError) -> Bool {
        guard let path = paths.last, let list = parentRoot(path)?.tree, let parents else { return false }
        do throws(HoldfastError) {
            return try EntryCursor(list, tree: parents).next() != nil
        } catch {
            // There was something, whatever has become of it.
            guard error.leavesOtherCopies else { throw error }
            return true
        }
    }

    func holdsSecret(_ parts: [[UInt8]], _ metadata: EntryMetadata) throws(HoldfastError) -> Bool {
        // What is damaged in the parent is read anew.
        do throws(HoldfastError) {
            return try held(parts, metadata, for: .reuse) != nil
        } catch {
            guard error.leavesOtherCopies else { throw error }
            return false
        }
    }

    /// The parent's value of the version that `metadata` is of, relied on.
    private func held(
        _ parts: [[UInt8]], _ metadata: EntryMetadata, for purpose: LookupPurpose
    ) throws(HoldfastError) -> Content? {
        guard let content = try ofParent(parts, metadata), isReliable(content, for: purpose) else { return nil }
        return content
    }

    /// The parent's value of the version that `metadata` is of.
    private func ofParent(_ parts: [[UInt8]], _ metadata: EntryMetadata) throws(HoldfastError) -> Content? {
        if let found, found.parts == parts, found.attributes == metadata.attributes { return found.content }
        found = nil
        var content: Content?
        if let entry = try known.find(parts), entry.content?.rule == .secret,
            let wanted = try Self.version(metadata), wanted.created != nil
        {
            // Most versions are as they were to the last byte.
            let other =
                metadata.attributes == entry.metadata.attributes ? wanted : try Self.version(entry.metadata)
            if let other, wanted.id == other.id, wanted.order == other.order, wanted.created == other.created {
                content = entry.content
            }
        }
        found = (parts, metadata.attributes, content)
        return content
    }

    private func isReliable(_ content: Content, for purpose: LookupPurpose) -> Bool {
        guard case .inline(let pieces) = content.location else { return false }
        return session.relyOnAll(pieces.lazy.map(\.id), for: purpose)
    }

    private static func version(_ metadata: EntryMetadata) throws(HoldfastError) -> SecretVersionFacts? {
        guard let bytes = metadata.bytes(under: SecretVersionFacts.attribute) else { return nil }
        return try SecretVersionFacts(bytes)
    }

    func addSecret(
        _ parts: [[UInt8]], _ metadata: EntryMetadata, _ item: SecretBytes?
    ) throws(HoldfastError) -> Bool {
        guard let members else { preconditionFailure("secrets are in a root without order") }
        var metadata = metadata
        metadata.kind = .file
        if let item {
            filler.isSecret = true
            defer { filler.isSecret = false }
            try beginFile(parts, .secret)
            try item.withBytes { (bytes) throws(HoldfastError) in try write(bytes) }
            try endFile(metadata)
            return true
        }
        try check(parts)
        var content: Content?
        do throws(HoldfastError) {
            content = try held(parts, metadata, for: .keeping)
        } catch {
            guard error.leavesOtherCopies else { throw error }
            failSecret(parts, error)
        }
        try members.add(parts, metadata, content: .known(content ?? Self.noValue), link: nil, isLinkable: false)
        return content != nil
    }

    func carrySecret(_ parts: [[UInt8]]) throws(HoldfastError) -> Bool {
        guard let members else { preconditionFailure("secrets are in a root without order") }
        guard let directory = try known.find(parts), let list = directory.tree, let parents,
            directory.metadata.bytes(under: SecretFacts.attribute) != nil
        else { return false }
        try add(parts, directory.metadata, link: nil)
        let cursor = EntryCursor(list, tree: parents)
        while let entry = try cursor.next() {
            guard entry.tree == nil, let content = entry.content else { continue }
            let path = parts + [entry.metadata.name]
            try check(path)
            let isKept = content.rule != .secret || isReliable(content, for: .keeping)
            try members.add(
                path, entry.metadata, content: .known(isKept ? content : Self.noValue), link: nil, isLinkable: false)
        }
        return true
    }

    func carrySecrets(below parts: [[UInt8]], besides taken: Set<[[UInt8]]>) throws(HoldfastError) -> UInt64 {
        guard let parents, let root = paths.last,
            let list = parts.isEmpty ? parentRoot(root)?.tree : try known.find(parts)?.tree
        else { return 0 }
        var count: UInt64 = 0
        let cursor = EntryCursor(list, tree: parents)
        while let entry = try cursor.next() {
            guard entry.tree != nil else { continue }
            let path = parts + [entry.metadata.name]
            if !taken.contains(path), try carrySecret(path) { count += 1 }
            count += try carrySecrets(below: path, besides: taken)
        }
        return count
    }

    func discardSecret(_ parts: [[UInt8]]) throws(HoldfastError) {
        try check(parts)
        members?.remove(parts)
    }

    func failSecret(_ parts: [[UInt8]], _ error: HoldfastError) {
        let path = joinedPath(parts)
        failures.root = paths.last ?? []
        // Rounds over a vault come to the same failures.
        if failedSecrets.insert(path + [0] + Array(error.message.utf8)).inserted { failures.add(path, error) }
    }
}
