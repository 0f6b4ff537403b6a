// Scratch directories that drills left to be looked at, and their removal.

import CLinux
import Glibc
import Primitives
import Workloads

/// Copies that `--keep` left. A note in the state directory says where, so that they are found wherever they are.
package enum KeptScratch {
    /// In a directory that was kept; the next drill leaves it alone then.
    static let mark = "kept"
    private static let ending = ".kept"
    private static let mostNotes = 1000
    private static let longestPath = 4096

    /// What became of one.
    package struct Outcome: Sendable {
        package var path: String
        /// Nil when it is gone.
        package var failure: HoldfastError?
    }

    /// Notes where the directory is, and then marks it: one that later drills leave alone is always one that
    /// ``removeAll(stateDirectory:parent:)`` finds.
    ///
    /// - Durability: note and mark are on stable storage on return.
    /// - Throws: when it is not kept; there is neither note nor mark then.
    static func keep(_ scratch: DrillScratch, _ settings: DrillSettings) throws(HoldfastError) {
        let name = String(scratch.path.split(separator: "/").last ?? "")
        let note = "\(settings.journals)/\(name)\(ending)"
        try EvidenceFiles.write(Array(scratch.path.utf8), to: note)
        do throws(HoldfastError) {
            try scratch.mark(mark)
        } catch {
            unlink(note)
            throw error
        }
    }

    /// Whether the directory at `path` was marked.
    static func isKept(_ path: String) -> Bool {
        var status = stat()
        return lstat("\(path)/\(mark)", &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Removes what was kept: what the notes below `stateDirectory` tell of, and what is below `parent`.
    ///
    /// Directories of others, of drills under way and of drills that were killed are left alone.
    ///
    /// - Parameters:
    ///   - parent: Nil for the standard place.
    ///   - cancellation: Once raised, what is there still stays, and is found again.
    package static func removeAll(
        stateDirectory: String?, parent: String?, cancellation: Cancellation? = nil
    ) -> [Outcome] {
        let parent = parent.map { Host.absolutePath($0) } ?? DrillScratch.standardParent
        let journals = (stateDirectory.map { Host.absolutePath($0) } ?? parent) + "/drills"
        var notes: [String: String] = [:]
        for name in ScratchTree.names(in: journals).filter({ $0.hasSuffix(ending) }).sorted().prefix(mostNotes) {
            let limit = ByteCount(UInt64(longestPath))
            guard let bytes = try? EvidenceFiles.bytes("\(journals)/\(name)", limit, waits: false) else { continue }
            notes[String(decoding: bytes, as: UTF8.self)] = "\(journals)/\(name)"
        }
        var paths = notes.keys.sorted()
        let below = ScratchTree.names(in: parent).filter { $0.hasPrefix(DrillScratch.prefix) }.sorted()
        for path in below.map({ "\(parent)/\($0)" }) where !paths.contains(path) { paths.append(path) }
        var outcomes: [Outcome] = []
        for path in paths where cancellation?.isRaised != true {
            if let outcome = remove(path, cancellation) { outcomes.append(outcome) }
            // One that somebody else holds at this moment keeps its note.
            if let note = notes[path], access(path, F_OK) != 0, errno == ENOENT { unlink(note) }
        }
        return outcomes
    }

    /// Nil for one that is no kept directory of ours, or is gone.
    private static func remove(_ path: String, _ cancellation: Cancellation?) -> Outcome? {
        guard path.split(separator: "/").last?.hasPrefix(DrillScratch.prefix) == true,
            let lock = DrillScratch.lock(path), isKept(path)
        else { return nil }
        defer { withExtendedLifetime(lock) {} }
        do throws(HoldfastError) {
            for name in ScratchTree.names(in: path) where access("\(path)/\(name)/data/PG_VERSION", F_OK) == 0 {
                guard let process = try PostgresScratch.server(over: "\(path)/\(name)/data") else { continue }
                throw HoldfastError(
                    .busy, "a server runs over \(path)/\(name)/data, process \(process)",
                    hint: "Stop it, and run `holdfast drill --clean` again.")
            }
            try DrillScratch.remove(path, cancellation)
            return Outcome(path: path)
        } catch {
            return Outcome(path: path, failure: error)
        }
    }
}
