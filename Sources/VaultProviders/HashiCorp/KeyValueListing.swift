// The names in a folder of a KV store, as the server gives them.

import Primitives
import SecretVaults

extension KeyValueClient {
    /// Names in a folder, in order: of all that HashiCorp Vault has in it, and of as many as a policy of OpenBao gives
    /// at once, the first behind `after`.
    ///
    /// Memory: the answer, and twice ``FirstNames/limit`` names.
    /// - Throws: `.limitExceeded` with the folder when the answer is too large. It has no parts that could be had.
    func names(
        in area: String, _ folder: [UInt8], after: [UInt8], _ largest: ByteCount = HashiCorpAnswers.list
    ) throws(HoldfastError) -> FolderWalk.Part {
        let path = HashiCorpPath(
            "\(mount)/\(area)" + String(decoding: folder, as: UTF8.self),
            query: [("list", "true")] + (after.isEmpty ? [] : [("after", String(decoding: after, as: UTF8.self))]))
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try send(HashiCorpCall(path, .list, largestAnswer: largest))
        } catch  where error.code == .limitExceeded {
            throw tooLong(folder, error)
        }
        if answer.status == 404 { return FolderWalk.Part() }
        guard answer.status == 200 else { throw session.senseless("no listing of \(path)") }
        var first = FirstNames(after: after)
        try session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                guard key == "keys" else {
                    try scanner.skip()
                    return
                }
                if try scanner.null() { return }
                try scanner.elements { (scanner) throws(HoldfastError) in
                    let name = Array(try scanner.string().utf8)
                    try check(name)
                    first.add(name)
                }
            }
        }
        return try part(first.taken().map { FolderWalk.Entry(name: $0) }, after: after)
    }

    private func tooLong(_ folder: [UInt8], _ cause: HoldfastError) -> HoldfastError {
        let what = folder.isEmpty ? "the top" : "the folder \(String(decoding: folder, as: UTF8.self))"
        return HoldfastError(
            .limitExceeded, "\(what) of the vault \(location) has more names than fit into one listing",
            hint: "A listing has \(HashiCorpAnswers.list) at most: move secrets into folders below it.", cause: cause)
    }

    private func check(_ name: [UInt8]) throws(HoldfastError) {
        guard name.dropLast().contains(UInt8(ascii: "/")) else { return }
        throw session.senseless("a listing of one folder with names of another")
    }

    /// Puts entries in order and drops those that were seen.
    ///
    /// Until nothing new comes there may be more, however few came: policies of OpenBao bound a page
    /// (`pagination_limit`), and take names out of it after it was cut (`list_scan_response_keys_filter_path`).
    func part(_ entries: [FolderWalk.Entry], after: [UInt8]) throws(HoldfastError) -> FolderWalk.Part {
        for entry in entries { try check(entry.name) }
        let rest = entries.filter { after.lexicographicallyPrecedes($0.name) }
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }
        return FolderWalk.Part(entries: rest, hasMore: !rest.isEmpty)
    }
}

/// The first of any number of names, by bytes.
private struct FirstNames {
    static let limit = 50_000

    private let after: [UInt8]
    private var names: [[UInt8]] = []
    /// What does not come before it is not among the first.
    private var end: [UInt8]?

    init(after: [UInt8]) { self.after = after }

    mutating func add(_ name: [UInt8]) {
        guard after.lexicographicallyPrecedes(name), end.map({ name.lexicographicallyPrecedes($0) }) ?? true else {
            return
        }
        names.append(name)
        if names.count >= 2 * Self.limit { cut() }
    }

    private mutating func cut() {
        names.sort { $0.lexicographicallyPrecedes($1) }
        guard names.count > Self.limit else { return }
        names.removeLast(names.count - Self.limit)
        end = names.last
    }

    mutating func taken() -> [[UInt8]] {
        cut()
        return names
    }
}
