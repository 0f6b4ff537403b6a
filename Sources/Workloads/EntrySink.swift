// Where a workload pushes what it reads.

import Primitives
import Repository

/// In which order the entries of a root come.
package enum EntryOrder: Sendable, Hashable {
    /// Depth first, the names of each directory ascending by their bytes, each directory before what is in it.
    /// Needs the memory of one directory of each level.
    case sorted
    /// Any: the tree is put in order at the end of the root. Needs the memory of all metadata. Of several entries with
    /// one path the last counts, as with tar; directories that are not told are made.
    case unordered
}

/// Takes the entries of a backup.
///
/// Between ``beginRoot(_:_:order:)`` and ``endRoot()`` come the root's entries, by their paths below it. A file is
/// begun, its bytes are pushed, and it is ended. Files are read one at a time, and their content is never held whole.
/// Everything throws what the store and the pipeline throw, and `.interrupted`: pass it on.
/// Thread: that of the read.
package protocol EntrySink: AnyObject {
    /// Begins a root: what the snapshot calls it is `path`, and `metadata` is of the thing itself.
    ///
    /// For a root that is a file, the file with no path parts is its one entry; `metadata` is then of no account.
    func beginRoot(_ path: [UInt8], _ metadata: EntryMetadata, order: EntryOrder) throws(HoldfastError)

    /// Adds a directory or anything else without content, or, with `link`, another name of a file that came before.
    ///
    /// `metadata.name` is of no account: `parts` name it. Paths that lead elsewhere throw `.unsafePath`. Links go with
    /// unordered roots only.
    func add(_ parts: [[UInt8]], _ metadata: EntryMetadata, link: [[UInt8]]?) throws(HoldfastError)

    /// Begins a file.
    ///
    /// With `.pages` it is cut in blocks that are aligned to it, and each changed block is stored as a delta against
    /// the block at the same place of the file with the same path in the parent snapshot, when that was pages too.
    func beginFile(_ parts: [[UInt8]], _ rule: CutRule) throws(HoldfastError)

    /// Reads more of the open file: `read` fills a part of the buffer that it is given, at most `limit` bytes long, and
    /// returns the count. A limit of 1 MiB or more is best; ``write(_:)`` is for bytes that are there already.
    ///
    /// - Returns: What `read` returned.
    func fill(
        atMost limit: Int, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) -> Int

    /// A stretch of zeros in the open file that need not be read; in a file of pages, a whole number of blocks unless
    /// it ends the file, and after whole blocks.
    func hole(_ length: UInt64) throws(HoldfastError)

    /// Ends the chunk at hand of a file that is cut by content, and begins the next as at the start of a file: what
    /// comes between two boundaries has the same chunks wherever it stands.
    func boundary() throws(HoldfastError)

    /// Ends the file. Its size is that of what was pushed.
    func endFile(_ metadata: EntryMetadata) throws(HoldfastError)

    func endRoot() throws(HoldfastError)

    /// A whole root: the directory at `path` with all below it, read beside the parent snapshot so that what did not
    /// change is not read. What cannot be read is noted, and the rest goes on.
    func tree(at path: [UInt8], _ options: TreeReaderOptions) throws(HoldfastError)
}

/// Takes secrets as well, which are stored apart from all else, into the unordered root that is open.
///
/// Thread: that of the read.
package protocol SecretSink: EntrySink {
    /// Whether the parent snapshot has anything in this root, so that a vault without a secret is worth a word.
    func hadSecrets() throws(HoldfastError) -> Bool

    /// Whether the parent snapshot has the value of this very version at `parts`, whole; it is then kept for this one.
    ///
    /// It is the same by its id, its place and its date, which `metadata` tells: a secret that was put anew numbers
    /// from the beginning. A version without a date is never the same.
    func holdsSecret(_ parts: [[UInt8]], _ metadata: EntryMetadata) throws(HoldfastError) -> Bool

    /// Adds a version of a secret.
    ///
    /// - Parameter item: What ``SecretItem`` made of its value; nil for the parent's, when it has that of this version
    ///   in whoever's pack, since it cannot be read anew.
    /// - Returns: Whether the snapshot has a value of it.
    @discardableResult
    func addSecret(
        _ parts: [[UInt8]], _ metadata: EntryMetadata, _ item: SecretBytes?
    ) throws(HoldfastError) -> Bool

    /// Adds the secret at `parts`, and none below it, as the parent snapshot has it. False when that has none.
    func carrySecret(_ parts: [[UInt8]]) throws(HoldfastError) -> Bool

    /// Adds all secrets below `parts` as the parent snapshot has them, but those at the places of `taken`; everything
    /// in the root when `parts` is empty. The secret at `parts` itself is not among them.
    ///
    /// - Returns: How many there were.
    func carrySecrets(below parts: [[UInt8]], besides taken: Set<[[UInt8]]>) throws(HoldfastError) -> UInt64

    /// Takes back what was added at `parts`, with all versions that stand in it.
    func discardSecret(_ parts: [[UInt8]]) throws(HoldfastError)

    /// Notes what could not be read; the snapshot is partial then. The same note of the same path counts once.
    func failSecret(_ parts: [[UInt8]], _ error: HoldfastError)
}

extension EntrySink {
    package func add(_ parts: [[UInt8]], _ metadata: EntryMetadata) throws(HoldfastError) {
        try add(parts, metadata, link: nil)
    }

    /// Pushes bytes into the open file.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        var rest = bytes
        while rest.count > 0 {
            let limit = min(rest.count, 1 << 20)
            let count = try fill(atMost: limit) { (buffer) throws(HoldfastError) in
                let count = min(buffer.count, rest.count)
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
                return count
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Pushes a file whose content is at hand.
    package func file(
        _ parts: [[UInt8]], _ metadata: EntryMetadata, _ bytes: [UInt8], _ rule: CutRule = .content
    ) throws(HoldfastError) {
        try beginFile(parts, rule)
        let span = bytes.span.bytes
        try span.withUnsafeBytes { (raw) throws(HoldfastError) in try write(raw) }
        try endFile(metadata)
    }
}
