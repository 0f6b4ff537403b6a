// Goes through the folders of a KV store, a page at a time.

import Primitives
import SecretVaults
import Synchronization

/// A walk through a tree of folders, in the order of the whole names' bytes.
///
/// A mark is the last name that was given, or a folder that is done with, followed by a byte that no name has. What is
/// listed again after a mark are the folders on the way to it, from there on where the server can begin in the middle;
/// ``FolderWalks`` spares that where a page follows upon another.
struct FolderWalk {
    /// One entry of a folder; a folder's name ends with a slash.
    struct Entry {
        var name: [UInt8]
        var record: SecretRecord?
        var isFolder: Bool { name.last == UInt8(ascii: "/") }
    }

    /// Part of a folder.
    struct Part {
        /// By name.
        var entries: [Entry] = []
        /// There is more behind the last of them.
        var hasMore = false
    }

    /// Lists what is in `folder` behind the entry `after`, about so many; an empty part when there is no such folder.
    /// An answer of more than `largest` is `.limitExceeded`.
    typealias List =
        @Sendable (_ folder: [UInt8], _ after: [UInt8], _ limit: Int, _ largest: ByteCount) throws(HoldfastError) ->
        Part

    /// A folder on the way, and what of it was listed and not yet gone to.
    private struct Step {
        var folder: [UInt8]
        var entries: ArraySlice<Entry> = []
        /// The last entry that was listed.
        var after: [UInt8] = []
        var hasMore = true
    }

    /// Behind a folder that is done with.
    private static let done: UInt8 = 0xFF
    /// Folders within folders; a snapshot has names of so many parts.
    static let maximumDepth = 256
    /// Asked for at once, however few are wanted: a policy may take names out of an answer after it was cut, and one
    /// that is left empty looks like the end.
    private static let least = 200
    /// Folders are listed before their turn for pages of so many secrets.
    private static let leastAhead = 100
    /// The most of one answer to that, and of such folders, so that they stay within memory.
    private static let (largestAhead, mostAhead) = (ByteCount.mebi(1), 16)

    let prefix: [UInt8]
    /// How many folders are listed at once.
    private let breadth: Int
    /// The mark of the page before.
    private(set) var mark: VaultPageMark?
    /// From the folder that all is in to the one where the walk is.
    private var steps: [Step] = []
    /// Folders that were listed before their turn, from their beginning.
    private var ahead: [[UInt8]: Part] = [:]
    private var looksAhead = true

    /// - Throws: `.usage` for a mark that is not of this listing.
    init(prefix: String, after mark: VaultPageMark?, breadth: Int) throws(HoldfastError) {
        self.prefix = Array(prefix.utf8)
        self.breadth = breadth
        self.mark = mark
        let top = self.prefix.lastIndex(of: UInt8(ascii: "/")).map { Array(self.prefix[...$0]) } ?? []
        if let mark, !mark.bytes.starts(with: top) || mark.bytes.count <= top.count {
            throw HoldfastError(
                .usage, "a mark of another listing", hint: "Go on with the mark of the page before, and its prefix.")
        }
        var step = Step(folder: top)
        var rest = mark?.bytes.dropFirst(top.count) ?? []
        while let slash = rest.firstIndex(of: UInt8(ascii: "/")) {
            step.after = Array(rest[...slash])
            steps.append(step)
            step = Step(folder: step.folder + step.after)
            rest = rest[(slash + 1)...]
        }
        guard Array(rest) != [Self.done] else { return }
        step.after = Array(rest)
        steps.append(step)
    }

    /// The next page, of at most `limit` secrets.
    mutating func page(limit: Int, _ list: @escaping List) throws(HoldfastError) -> SecretPage {
        let limit = min(max(limit, 1), SecretBounds.page)
        var page = SecretPage()
        var last = mark?.bytes ?? []
        while let step = steps.last {
            guard let entry = step.entries.first else {
                if step.hasMore, try goOn(&page, list, limit) { continue }
                if steps.count > 1 { last = step.folder + [Self.done] }
                steps.removeLast()
                continue
            }
            let name = step.folder + entry.name
            if name.starts(with: prefix) {
                if page.secrets.count + page.refused.count >= limit {
                    mark = VaultPageMark(last)
                    page.next = mark
                    return page
                }
                if !entry.isFolder {
                    take(name, entry.record, &page)
                    last = name
                } else if let refusal = Self.refusal(of: name) {
                    page.refused.append(refusal)
                    last = name + [Self.done]
                } else {
                    steps[steps.count - 1].entries.removeFirst()
                    steps.append(Step(folder: name))
                    continue
                }
            }
            steps[steps.count - 1].entries.removeFirst()
        }
        return page
    }

    /// Lists more of the folder where the walk is; false at its end. A folder that may not be looked into, or has too
    /// many names, is told, and the walk goes on behind it.
    private mutating func goOn(
        _ page: inout SecretPage, _ list: @escaping List, _ limit: Int
    ) throws(HoldfastError) -> Bool {
        let place = steps.count - 1
        let step = steps[place]
        let wanted = max(limit, Self.least) + 1
        if limit >= Self.leastAhead, step.after.isEmpty { lookAhead(list, wanted) }
        do throws(HoldfastError) {
            let known = step.after.isEmpty ? ahead.removeValue(forKey: step.folder) : nil
            let part = if let known { known } else { try list(step.folder, step.after, wanted, HashiCorpAnswers.list) }
            steps[place].entries = part.entries[...]
            steps[place].after = part.entries.last?.name ?? step.after
            steps[place].hasMore = part.hasMore
            return !part.entries.isEmpty
        } catch  where place > 0 && [.vaultAccessDenied, .limitExceeded].contains(error.code) {
            page.refused.append(error)
            page.unseen.append(step.folder)
            return false
        }
    }

    /// Lists the folder where the walk is and those that come next beside it, all at once: a server that is asked for
    /// one after the other has nothing to do half of the time. What fails here is asked for in its turn.
    private mutating func lookAhead(_ list: @escaping List, _ limit: Int) {
        guard looksAhead, steps.count > 1, let step = steps.last, ahead[step.folder] == nil else { return }
        let parent = steps[steps.count - 2]
        var folders = [step.folder]
        for entry in parent.entries.prefix(64) where entry.isFolder {
            let name = parent.folder + entry.name
            if name.starts(with: prefix), Self.refusal(of: name) == nil { folders.append(name) }
        }
        folders = Array(folders.prefix(min(breadth, Self.mostAhead - ahead.count)))
        guard folders.count > 1 else { return }
        let found = Mutex<[[UInt8]: Result<Part, HoldfastError>]>([:])
        let wanted = folders
        withThreads(wanted.count) { index in
            let result = Result { () throws(HoldfastError) in try Self.beginning(of: wanted[index], list, limit) }
            found.withLock { $0[wanted[index]] = result }
        }
        for (folder, result) in found.withLock({ $0 }) {
            switch result {
            case .success(let part): ahead[folder] = part
            case .failure(let error): looksAhead = looksAhead && error.code == .vaultAccessDenied
            }
        }
    }

    /// All of a folder that has no more than `limit` entries.
    private static func beginning(
        of folder: [UInt8], _ list: List, _ limit: Int
    ) throws(HoldfastError) -> Part {
        var part = try list(folder, [], limit, largestAhead)
        guard part.hasMore, let last = part.entries.last else { return part }
        let rest = try list(folder, last.name, limit, largestAhead)
        part.entries += rest.entries
        part.hasMore = rest.hasMore
        return part
    }

    /// Nobody says how deep a server's folders go, or that they end.
    private static func refusal(of folder: [UInt8]) -> HoldfastError? {
        let depth = folder.count { $0 == UInt8(ascii: "/") }
        guard folder.count > SecretName.maximumCount || depth > maximumDepth else { return nil }
        return HoldfastError(
            .limitExceeded, "a folder whose name has \(folder.count) bytes and \(depth) parts",
            hint: "Give it \(SecretName.maximumCount) bytes and \(maximumDepth) parts at most.",
            context: [("begins with", String(decoding: folder.prefix(64), as: UTF8.self))])
    }

    private func take(_ bytes: [UInt8], _ record: SecretRecord?, _ page: inout SecretPage) {
        guard bytes.count <= SecretName.maximumCount else {
            page.refused.append(
                HoldfastError(
                    .limitExceeded, "a secret whose name has \(bytes.count) bytes",
                    hint: "Give it a name of \(SecretName.maximumCount) bytes at most.",
                    context: [("begins with", String(decoding: bytes.prefix(64), as: UTF8.self))]))
            return
        }
        page.secrets.append(SecretListing(name: SecretName(validated: bytes), record: record))
    }
}

/// Keeps the walk of the newest page, so that the page after it need not find the way again: a server takes longest to
/// list folders of folders.
///
/// What was listed and not yet given is kept for a minute, and given once. A walk that begins anew lists all anew.
final class FolderWalks: Sendable {
    private static let age = Duration.seconds(60)

    private struct Kept: Sendable {
        var walk: FolderWalk
        /// On the clock's uptime.
        var since: Duration
    }

    private let breadth: Int
    private let kept = Mutex<Kept?>(nil)

    /// - Parameter concurrency: Calls that the vault bears at once.
    init(concurrency: Int) { breadth = min(concurrency, 8) }

    func page(
        under prefix: String, after mark: VaultPageMark?, limit: Int, _ clock: any Clock,
        _ list: @escaping FolderWalk.List
    ) throws(HoldfastError) -> SecretPage {
        let found = kept.withLock { kept in
            defer { kept = nil }
            return kept
        }
        let began = clock.uptime()
        var (walk, since) = (try FolderWalk(prefix: prefix, after: mark, breadth: breadth), began)
        if let mark, let found, found.walk.mark == mark, found.walk.prefix == walk.prefix,
            began - found.since < Self.age
        {
            (walk, since) = (found.walk, found.since)
        }
        let page = try walk.page(limit: limit, list)
        let made = page.next == nil ? nil : Kept(walk: walk, since: since)
        kept.withLock { $0 = made }
        return page
    }
}
