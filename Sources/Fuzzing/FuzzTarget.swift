// The decoders of bytes from outside, each as one function of an input that says what came of it.

import Compression
import Primitives

/// What a decoder made of an input.
package enum FuzzVerdict: Sendable, Hashable {
    /// It decoded, and what it decoded to keeps its promises.
    case accepted
    /// It was refused with an error that is for damaged or hostile bytes.
    case refused
    /// A promise is broken; a bug.
    case wrong(String)
}

/// A decoder under test. The first byte of an input names it, so that one corpus serves all; raw values are never
/// given to another one.
package enum FuzzTarget: UInt8, CaseIterable, Sendable {
    case frame = 1
    case format = 2
    case epoch = 3
    case slot = 4
    case grant = 5
    case grantedKeys = 6
    case lease = 7
    case collection = 8
    case tombstone = 9
    case hold = 10
    case snapshot = 11
    case record = 12
    case packHead = 13
    case packContents = 14
    case pack = 15
    case stream = 16
    case run = 17
    case runClear = 18
    case runTable = 19
    case runCache = 20
    case directory = 21
    case content = 22
    case zstd = 23
    case zlib = 24
    case delta = 25
    case codecRoundTrip = 26
    case deltaRoundTrip = 27
    case tree = 28
    case names = 29
    case timeZone = 30
    case archive = 31
    case backupManifest = 32
    case baseBackup = 33
    case evidence = 34
    case evidenceRecord = 35
    case evidenceFile = 36
    case dumpArchive = 37

    package init?(name: String) {
        guard let target = Self.allCases.first(where: { "\($0)" == name }) else { return nil }
        self = target
    }
}

/// Runs inputs through decoders.
///
/// Thread: one at a time; the codecs are kept between inputs, since state that leaks from one to the next is a bug too.
package final class Fuzzer {
    /// The longest input that is looked at.
    package static let maximumInput = 1 << 20
    let keys: FuzzKeys
    let codecs: FuzzCodecs

    /// - Parameter scratch: A directory for the cache files of ``FuzzTarget/runCache``.
    package init(scratch: String) throws(HoldfastError) {
        keys = try FuzzKeys(scratch: scratch)
        codecs = try FuzzCodecs()
    }

    /// Decodes `input`, whose first byte is the target; nil when it names none or is too long.
    package func run(_ input: [UInt8]) -> FuzzVerdict? {
        guard let first = input.first, let target = FuzzTarget(rawValue: first), input.count <= Self.maximumInput
        else { return nil }
        return run(target, Array(input.dropFirst()))
    }

    package func run(_ target: FuzzTarget, _ bytes: [UInt8]) -> FuzzVerdict {
        do throws(HoldfastError) {
            return try verdict(target, bytes)
        } catch {
            switch error.code {
            case .corruptObject, .unsupportedFormat, .limitExceeded, .sourceFailed, .unsafePath, .notPermitted:
                return .refused
            default: return .wrong("refused with an error of another kind: \(error)")
            }
        }
    }

    private func verdict(_ target: FuzzTarget, _ bytes: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        switch target {
        case .frame: try frame(bytes)
        case .format: try format(bytes)
        case .epoch: try epoch(bytes)
        case .slot: try slot(bytes)
        case .grant: try grant(bytes)
        case .grantedKeys: try grantedKeys(bytes)
        case .lease: try lease(bytes)
        case .collection: try collection(bytes)
        case .tombstone: try tombstone(bytes)
        case .hold: try hold(bytes)
        case .snapshot: try snapshot(bytes)
        case .record: try record(bytes)
        case .packHead: try packHead(bytes)
        case .packContents: try packContents(bytes)
        case .pack: try pack(bytes)
        case .stream: try stream(bytes)
        case .run: try run(body: bytes)
        case .runClear: try run(clear: bytes)
        case .runTable: try run(table: bytes)
        case .runCache: try run(cached: bytes)
        case .directory: try directory(bytes)
        case .content: try content(bytes)
        case .zstd: try codecs.decode(.zstd, bytes)
        case .zlib: try codecs.decode(.zlib, bytes)
        case .delta: try codecs.decode(.zstdDelta, bytes)
        case .codecRoundTrip: try codecs.roundTrip(bytes)
        case .deltaRoundTrip: try codecs.deltaRoundTrip(bytes)
        case .tree: try tree(bytes)
        case .names: names(bytes)
        case .timeZone: try timeZone(bytes)
        case .archive: try archive(bytes)
        case .backupManifest: try backupManifest(bytes)
        case .baseBackup: try baseBackup(bytes)
        case .evidence: try evidence(bytes)
        case .evidenceRecord: try evidenceRecord(bytes)
        case .evidenceFile: try evidenceFile(bytes)
        case .dumpArchive: try dumpArchive(bytes)
        }
    }

    /// Decodes, encodes, and holds the result to the input, or to itself after another turn.
    ///
    /// - Parameter isCanonical: The format has one encoding for each value, so that the input must come back.
    func turn<T>(
        _ bytes: [UInt8], isCanonical: Bool = true, _ decode: ([UInt8]) throws(HoldfastError) -> T,
        _ encode: (T) throws(HoldfastError) -> [UInt8]
    ) throws(HoldfastError) -> FuzzVerdict {
        let value = try decode(bytes)
        let once = try encode(value)
        if once == bytes { return .accepted }
        if isCanonical { return .wrong("what was decoded is encoded in another way") }
        do throws(HoldfastError) {
            return try encode(try decode(once)) == once ? .accepted : .wrong("encoding again gives other bytes")
        } catch {
            return .wrong("what was encoded does not decode: \(error)")
        }
    }
}
