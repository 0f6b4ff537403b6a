// When each pack of a repository was last read from end to end, so that the next check begins with the others.

import FoundationEssentials
import ObjectStore
import Primitives
import Repository
import Sealing
import Synchronization

/// What a check may spend on reading packs.
struct ReadBudget: Sendable, Hashable {
    var bytes: ByteCount?
    var time: Duration?

    /// Reads `1h` and `50G`; a number alone is bytes. Nil for anything else, and for nothing.
    init?(_ text: String) {
        // `1m` is a minute, `1M` a mebibyte.
        if let length = Duration(lengthOfTime: text), length > .zero {
            time = length
        } else if let size = ByteCount(text), size.bytes > 0 {
            bytes = size
        } else {
            return nil
        }
    }
}

/// A file in the state directory, one for each copy of a repository: that another one is good says nothing of this one.
///
/// It saves work and proves nothing: where it is lost, packs are read anew, and what checks with a budget find good
/// after that says nothing of damage that was marked in the lost one.
struct CheckMemory {
    /// A line for each pack: a million packs hold tens of terabytes.
    private static let maximumSize = ByteCount(256 << 20)
    private static let damaged = "damaged"
    private static let first = OldestFirst.damaged
    private static let head = "memory"

    /// When each pack was last read and good. Those that were damaged when they were read last come before all others.
    let lastRead: [PackID: Timestamp]
    /// A random number of this memory: one that was lost and begun anew does not know what the other marked as damaged.
    let identity: String
    /// Whether it was there.
    let isFound: Bool
    private let path: String

    /// - Parameter state: The state directory.
    init(
        of repository: Repository, in state: String, entropy: any Entropy
    ) throws(HoldfastError) {
        let location = repository.store.location
        let place = location.contains("://") ? location : Host.realPath(location) ?? Host.absolutePath(location)
        try self.init(of: repository.id, at: place, in: state, entropy: entropy)
    }

    /// - Parameter place: Where the copy is.
    init(
        of repository: RepositoryID, at place: String, in state: String, entropy: any Entropy = SystemEntropy()
    ) throws(HoldfastError) {
        let directory = "\(state)/checks"
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw HoldfastError(
                .accessDenied, "the directory \(directory) cannot be made",
                hint: "Check the owner and the mode of the state directory.", cause: error)
        }
        let text = Array(place.utf8)
        let mark = Hex.encode(SHA256.digest(text.span.bytes).array.prefix(8))
        path = "\(directory)/\(repository)-\(mark)"
        guard FileManager.default.fileExists(atPath: path) else {
            (lastRead, isFound, identity) = ([:], false, Hex.encode(try entropy.bytes(8)))
            return
        }
        var found: [PackID: Timestamp] = [:]
        var known: String?
        for line in try InputFile.read(path, limit: Self.maximumSize).split(separator: 10) {
            let words = String(decoding: line, as: UTF8.self).split(separator: " ")
            if words.count == 2, words[0] == Self.head { known = String(words[1]) }
            guard words.count == 2, let id = PackID(hex: words[0]) else { continue }
            if words[1] == Self.damaged {
                found[id] = Self.first
            } else if let seconds = Int64(words[1]) {
                found[id] = Timestamp(seconds: seconds)
            }
        }
        lastRead = found
        isFound = known != nil
        if let known { identity = known } else { identity = Hex.encode(try entropy.bytes(8)) }
    }

    /// Runs a check that tells of each pack that it read, and writes down what was read, also when the check breaks
    /// off: else one that is always stopped at its deadline would read the same packs for ever.
    ///
    /// - Parameter unsaved: Told when that cannot be written down; what the check found holds all the same.
    func remembering<R>(
        at clock: any Clock, unsaved: (HoldfastError) -> Void = { _ in },
        _ body: (_ note: @escaping @Sendable (PackID, Bool) -> Void) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        let read = Mutex<[PackID: Bool]>([:])
        do throws(HoldfastError) {
            let result = try body { id, isGood in read.withLock { $0[id] = isGood } }
            do throws(HoldfastError) { try save(read.withLock { $0 }, at: clock.now()) } catch { unsaved(error) }
            return result
        } catch {
            // The check's own failure is the one to tell of.
            do throws(HoldfastError) { try save(read.withLock { $0 }, at: clock.now()) } catch {}
            throw error
        }
    }

    /// Writes what was read now and whether it was good. Packs that nobody read for a year are dropped: most are gone.
    private func save(_ read: [PackID: Bool], at now: Timestamp) throws(HoldfastError) {
        var all = lastRead.filter { $0.value == Self.first || $0.value.seconds > now.seconds - 366 * 86_400 }
        for (id, isGood) in read { all[id] = isGood ? now : Self.first }
        let lines = all.sorted { $0.key < $1.key }
            .map { "\($0.key) \($0.value == Self.first ? Self.damaged : "\($0.value.seconds)")\n" }.joined()
        let text = "\(Self.head) \(identity)\n" + lines
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw HoldfastError(
                .inputOutput, "write \(path)", hint: "Free some space, or check its owner.", cause: error)
        }
    }
}
