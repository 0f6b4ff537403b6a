// Reads single chunks: location, segments, base, decoding, and the check of the id.

import CLinux
import Compression
import Primitives
import Sealing

/// What kind of plaintext a chunk is, which decides the key of its id.
package enum ContentClass: UInt8, Sendable {
    case data
    case secret
    case meta

    package var idKey: GrantedKey {
        switch self {
        case .data: .dataID
        case .secret: .secretID
        case .meta: .metaID
        }
    }
}

extension PackKind {
    package var contentClass: ContentClass {
        switch self {
        case .page, .delta, .data: .data
        case .secret: .secret
        case .meta: .meta
        }
    }
}

/// Reads chunks one at a time; for whole files ``RestorePlan`` reads by pack.
///
/// Thread: one at a time; make one per thread.
package final class ChunkReader {
    /// The view that locations are of. A session that grows its index sets the newer view here; runs keep their
    /// numbers.
    package var index: Index
    private let packs: PackReader
    private let decoder: ChunkDecoder
    private let hashes: [ContentClass: KeyedHash]
    private var segments: UnsafeMutableRawBufferPointer

    package init(index: Index, packs: PackReader, keyring: Keyring) throws(HoldfastError) {
        self.index = index
        self.packs = packs
        decoder = try ChunkDecoder()
        var hashes: [ContentClass: KeyedHash] = [:]
        for content in [ContentClass.data, .secret, .meta] {
            if let key = keyring.current.keys[content.idKey] { hashes[content] = KeyedHash(key: key) }
        }
        self.hashes = hashes
        segments = .allocate(byteCount: 3 * Segments.storedSize, alignment: 16)
    }

    deinit {
        wipeSegments()
        segments.deallocate()
    }

    /// Reads a chunk and checks it against its id; from another copy when the shallowest is damaged or closed to this
    /// key, as another writer's is.
    ///
    /// - Throws: `.objectMissing` when no usable copy is indexed, `.corruptObject` when all copies are damaged,
    ///   `.notPermitted` when this client may not read it.
    package func read(_ id: ChunkID, _ content: ContentClass) throws(HoldfastError) -> [UInt8] {
        guard let hash = hashes[content] else {
            throw HoldfastError(
                .notPermitted, "this key does not hold the id key of \(content) chunks",
                hint: "Use a key whose role may read.")
        }
        guard let location = index.find(id.bytes.prefix, for: .reading) else { throw Self.missing(id) }
        // What is around a secret in its pack are others.
        defer { if content == .secret { wipeSegments() } }
        let first: HoldfastError
        do throws(HoldfastError) {
            return try read(id, location, hash)
        } catch {
            first = error
        }
        guard Self.mayDiffer(first) else { throw first }
        for other in index.copies(of: id.bytes.prefix) where other != location {
            do throws(HoldfastError) {
                return try read(id, other, hash)
            } catch {
                guard Self.mayDiffer(error) else { throw error }
            }
        }
        throw first
    }

    /// Whether another copy may be read where one failed with `error`.
    private static func mayDiffer(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .corruptObject, .objectMissing, .unsupportedFormat, .limitExceeded, .notPermitted: true
        default: false
        }
    }

    private func read(
        _ id: ChunkID, _ location: ChunkLocation, _ hash: KeyedHash
    ) throws(HoldfastError) -> [UInt8] {
        var plain = try decode(location)
        guard ChunkID(hash.digest(plain.span.bytes)) == id else {
            wipe(&plain)
            throw HoldfastError(
                .corruptObject, "chunk \(id) in pack \(location.pack) decodes to other bytes",
                hint: "Run `holdfast check --read-data` to see what depends on it, and restore the pack from a mirror.",
                context: [("pack", location.pack.description)])
        }
        return plain
    }

    /// Decodes the copy at `location`, its bases first. The id is not checked: callers that rely on it do.
    package func decode(_ location: ChunkLocation) throws(HoldfastError) -> [UInt8] {
        // The chain is walked down to the copy that needs no base, at most eight links, then decoded upwards.
        var chain = [location]
        while let last = chain.last, last.entry.depth > 0 {
            guard let base = index.base(of: last, for: .reading) else {
                throw HoldfastError(
                    .objectMissing, "the base of a delta in pack \(last.pack) is gone",
                    hint: "Run `holdfast repair index`, then `holdfast check`; restore missing packs from a mirror.",
                    context: [("pack", last.pack.description)])
            }
            chain.append(base)
        }
        var plain: [UInt8] = []
        for link in chain.reversed() {
            plain = try decodeOne(link, base: plain)
        }
        return plain
    }

    private func decodeOne(_ location: ChunkLocation, base: [UInt8]) throws(HoldfastError) -> [UInt8] {
        guard let codec = location.entry.codec else {
            throw HoldfastError(
                .unsupportedFormat, "a chunk in pack \(location.pack) has a codec that this holdfast does not know",
                hint: "Upgrade holdfast.")
        }
        let opened = try packs.open(location.pack)
        let start = Int(location.entry.offset)
        let end = start + Int(location.entry.stored)
        let range = start / Segments.plainSize..<max(start + 1, end + Segments.plainSize - 1) / Segments.plainSize
        let wanted = range.isEmpty ? range.lowerBound..<range.lowerBound + 1 : range
        if segments.count < wanted.count * Segments.storedSize {
            wipeSegments()
            segments.deallocate()
            segments = .allocate(byteCount: wanted.count * Segments.storedSize, alignment: 16)
        }
        _ = try packs.readSegments(opened, location.pack, wanted, into: segments)
        let skip = start - wanted.lowerBound * Segments.plainSize
        let stored = UnsafeRawBufferPointer(rebasing: segments[skip..<skip + (end - start)])
        var output = [UInt8](repeating: 0, count: Int(location.entry.raw))
        var span = output.mutableSpan
        do throws(HoldfastError) {
            try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
                try decoder.decode(
                    codec, RawSpan(_unsafeBytes: stored), base: location.entry.depth > 0 ? base.span.bytes : nil,
                    into: UnsafeMutableRawBufferPointer(buffer))
            }
        } catch {
            throw error.with("pack", location.pack)
        }
        return output
    }

    private func wipeSegments() {
        if let base = segments.baseAddress { holdfast_zero(base, segments.count) }
    }

    package static func missing(_ id: ChunkID) -> HoldfastError {
        HoldfastError(
            .objectMissing, "chunk \(id) is in no pack that the repository holds",
            hint: "Run `holdfast repair index`, then `holdfast check`; restore missing packs from a mirror.")
    }
}
