// Goes through the folders of a KV store, a page at a time.

import Primitives
import SecretVaults

/// A walk through a tree of folders, in the order of the whole names' bytes.
///
/// A mark is the last name that was given, or a folder that is done with, followed by a byte that no name has. What is
/// listed again after a mark are the folders on the way to it, from there on where the server can begin in the middle.
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

    /// Behind a folder that is done with.
    private static let done: UInt8 = 0xFF
    /// Folders within folders; a snapshot has names of so many parts.
    static let maximumDepth = 256
    /// Asked for at once, however few are wanted: a policy may take names out of an answer after it was cut, and one
    /// that is left empty looks like the end.
    private static let least = 200

    /// Lists what is in `folder` behind the entry `after`, about so many; an empty part when there is no such folder.
    let list: (_ folder: [UInt8], _ after: [UInt8], _ limit: Int) throws(HoldfastError) -> Part

    let prefix: [UInt8]
    let limit: Int
    private var page = SecretPage()
    private var last: [UInt8] = []

    init(
        prefix: String, limit: Int,
        list: @escaping (_ folder: [UInt8], _ after: [UInt8], _ limit: Int) throws(HoldfastError) -> Part
    ) {
        self.prefix = Array(prefix.utf8)
        self.limit = min(max(limit, 1), SecretBounds.page)
        self.list = list
    }

    mutating func page(after mark: VaultPageMark?) throws(HoldfastError) -> SecretPage {
        let top = prefix.lastIndex(of: UInt8(ascii: "/")).map { Array(prefix[...$0]) } ?? []
        if let mark, !mark.bytes.starts(with: top) || mark.bytes.count <= top.count {
            throw HoldfastError(
                .usage, "a mark of another listing", hint: "Go on with the mark of the page before, and its prefix.")
        }
        last = mark?.bytes ?? []
        if try !visit(top, after: mark?.bytes) { page.next = VaultPageMark(last) }
        return page
    }

    /// - Returns: false when the page is full and there is more.
    private mutating func visit(_ folder: [UInt8], after mark: [UInt8]?) throws(HoldfastError) -> Bool {
        var after: [UInt8] = []
        if let rest = mark?.dropFirst(folder.count) {
            if let slash = rest.firstIndex(of: UInt8(ascii: "/")) {
                after = Array(rest[...slash])
                let isDone = Array(rest[(slash + 1)...]) == [Self.done]
                if !isDone, try !descend(folder + after, after: mark) { return false }
            } else {
                after = Array(rest)
            }
        }
        var part = Part()
        repeat {
            part = try list(folder, after, max(limit, Self.least) + 1)
            for entry in part.entries {
                after = entry.name
                let name = folder + entry.name
                guard name.starts(with: prefix) else { continue }
                if page.secrets.count + page.refused.count >= limit { return false }
                if entry.isFolder {
                    if try !descend(name, after: nil) { return false }
                } else {
                    take(name, entry.record)
                }
            }
        } while part.hasMore
        return true
    }

    /// A folder that may not be looked into is told, and the walk goes on behind it.
    private mutating func descend(_ folder: [UInt8], after mark: [UInt8]?) throws(HoldfastError) -> Bool {
        if let refusal = Self.refusal(of: folder) {
            page.refused.append(refusal)
        } else {
            do throws(HoldfastError) {
                if try !visit(folder, after: mark) { return false }
            } catch  where error.code == .vaultAccessDenied {
                page.refused.append(error)
                page.unseen.append(folder)
            }
        }
        last = folder + [Self.done]
        return true
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

    private mutating func take(_ bytes: [UInt8], _ record: SecretRecord?) {
        last = bytes
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
