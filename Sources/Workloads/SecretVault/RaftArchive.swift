// The archive that Vault and OpenBao make of their storage.

import Glibc
import Primitives
import Repository
import Sealing

/// A whole archive: a tar archive under gzip with `meta.json`, `state.bin` and their sums by SHA-256 in `SHA256SUMS`
/// (github.com/hashicorp/raft-snapshot). Members that newer servers add are read past.
struct RaftArchive {
    /// Of members other than the state.
    private static let largestMember = 4 << 20
    private static let block = 256 << 10

    /// The sum of no bytes.
    private static let nothing = SHA256.digest([UInt8]().span.bytes).withBytes { Hex.encode($0) }

    private(set) var stateBytes: UInt64 = 0
    /// Of the last entry of the log that is in it, as `meta.json` has it; empty where that says nothing.
    private(set) var index = ""
    private(set) var term = ""

    /// Reads the stream to its end.
    ///
    /// - Throws: `.sourceFailed` when it is no such archive, or is not whole.
    init(_ stream: any ByteStream) throws(HoldfastError) {
        let archive = try Self.told { () throws(HoldfastError) in try ArchiveReader(stream, isCompressed: true) }
        var (sums, found): ([String: String], [String: String]) = ([:], [:])
        while let member = try Self.told({ () throws(HoldfastError) in try archive.next() }) {
            let name = member.parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
            guard member.metadata.kind == .file, found[name] == nil else { throw Self.damaged("its member \(name)") }
            let isState = name == "state.bin"
            let (content, digest) = try Self.read(archive, keeping: isState ? 0 : Self.largestMember)
            if isState { stateBytes = member.metadata.size }
            if name == "SHA256SUMS" { sums = try Self.sums(content) } else { found[name] = digest }
            if name == "meta.json" { (index, term) = Self.position(content) }
        }
        // The server writes it last, once the cluster's key has sealed the sums; without it no cluster takes the rest.
        guard found["SHA256SUMS.sealed"] != nil, found["SHA256SUMS.sealed"] != Self.nothing else {
            throw Self.damaged("it ends before its sealed sums")
        }
        for name in ["meta.json", "state.bin"] {
            guard let sum = sums[name], let own = found[name] else { throw Self.damaged("it has no \(name)") }
            guard sum == own else { throw Self.damaged("\(name) is not what its sum says") }
        }
    }

    private static func read(
        _ archive: ArchiveReader, keeping limit: Int
    ) throws(HoldfastError) -> (content: [UInt8], digest: String) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 16)
        defer { buffer.deallocate() }
        var content: [UInt8] = []
        let hash = SHA256Stream()
        while true {
            let count = try told { () throws(HoldfastError) in try archive.read(into: buffer) }
            guard count > 0 else { break }
            let part = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            hash.update(RawSpan(_unsafeBytes: part))
            guard limit > 0 else { continue }
            guard content.count + count <= limit else { throw damaged("a member of more than \(limit) bytes") }
            content += part
        }
        return (content, hash.finish().withBytes { Hex.encode($0) })
    }

    /// Lines of `DIGEST  NAME`.
    private static func sums(_ content: [UInt8]) throws(HoldfastError) -> [String: String] {
        var found: [String: String] = [:]
        for line in String(decoding: content, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2 else { throw damaged("its list of sums") }
            found[String(words[1])] = words[0].lowercased()
        }
        return found
    }

    /// For people alone: the numbers behind `"Index"` and `"Term"`.
    private static func position(_ content: [UInt8]) -> (String, String) {
        let text = String(decoding: content, as: UTF8.self)
        func number(_ key: String) -> String {
            guard let found = text.firstRange(of: "\"\(key)\":") else { return "" }
            return String(text[found.upperBound...].drop { $0 == " " }.prefix { $0.isASCII && $0.isNumber })
        }
        return (number("Index"), number("Term"))
    }

    /// In words of a vault's storage in place of those of tar archives.
    private static func told<R>(_ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try body()
        } catch {
            guard error.code == .sourceFailed || error.code == .unsafePath else { throw error }
            throw damaged(error.message)
        }
    }

    private static func damaged(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the storage of the vault is not whole: \(what)",
            hint: "Back it up again; the vault's log may say why it broke off. Nothing was committed.")
    }
}
