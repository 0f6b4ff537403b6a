// When each pack of a repository was last read from end to end, so that the next check begins with the others.

import FoundationEssentials
import Glibc
import Primitives
import Repository

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

/// A file in the state directory. It saves work and proves nothing: where it is lost, packs are read anew.
struct CheckMemory {
    /// A line for each pack: a million packs hold tens of terabytes.
    private static let maximumSize = ByteCount(256 << 20)

    let lastRead: [PackID: Timestamp]
    private let path: String

    init(of repository: RepositoryID, _ context: CommandContext) throws(HoldfastError) {
        let directory = "\(try context.stateDirectory())/checks"
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw HoldfastError(
                .accessDenied, "the directory \(directory) cannot be made",
                hint: "Check the owner and the mode of the state directory.", cause: error)
        }
        path = "\(directory)/\(repository)"
        guard FileManager.default.fileExists(atPath: path) else {
            lastRead = [:]
            return
        }
        var found: [PackID: Timestamp] = [:]
        for line in try InputFile.read(path, limit: Self.maximumSize).split(separator: 10) {
            let words = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard words.count == 2, let id = PackID(hex: words[0]), let seconds = Int64(words[1]) else { continue }
            found[id] = Timestamp(seconds: seconds)
        }
        lastRead = found
    }

    /// Writes that `packs` were read now. Packs that nobody read for a year are dropped: most are gone.
    func save(_ packs: Set<PackID>, at now: Timestamp) throws(HoldfastError) {
        var all = lastRead.filter { $0.value.seconds > now.seconds - 366 * 86_400 }
        for id in packs { all[id] = now }
        let text = all.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.seconds)\n" }.joined()
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw HoldfastError(
                .inputOutput, "write \(path)", hint: "Free some space, or check its owner.", cause: error)
        }
    }
}
