// A restored data directory against the manifest that the server wrote.

import CLinux
import Glibc
import Primitives
import Sealing
import Synchronization

/// Reads every file that a manifest names and compares size and checksum.
struct ManifestVerification: Sendable {
    private static let bufferBytes = 1 << 20
    private static let mostThreads = 8

    private let manifest: BackupManifest
    private let directory: String
    private let threads: Int

    init(_ manifest: BackupManifest, directory: String, threads: Int) {
        self.manifest = manifest
        self.directory = directory
        self.threads = min(Self.mostThreads, max(1, threads))
    }

    /// - Returns: How many files were compared.
    /// - Throws: `.checkFailed` naming the first file that is not there, is no file or differs; `.targetFailed`,
    ///   `.accessDenied` for one that cannot be read, which says nothing of what is in it; `.interrupted`.
    func run(_ context: WorkloadContext) throws(HoldfastError) -> UInt64 {
        let next = Atomic<Int>(0)
        let failure = Mutex<(place: Int, error: HoldfastError)?>(nil)
        let files = manifest.files
        let cancellation = context.cancellation
        let directory = directory
        let progress = context.progress
        progress?.enter(
            .validating, bytesTotal: files.reduce(0) { $0 &+ $1.size }, itemsTotal: UInt64(files.count))
        withThreads(threads) { _ in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferBytes, alignment: 4096)
            defer { buffer.deallocate() }
            while true {
                let place = next.add(1, ordering: .relaxed).oldValue
                guard place < files.count, failure.withLock({ $0 }) == nil else { return }
                do throws(HoldfastError) {
                    try cancellation.check()
                    try Self.verify(files[place], in: directory, buffer, progress)
                } catch {
                    failure.withLock { if $0 == nil || place < $0?.place ?? 0 { $0 = (place, error) } }
                }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure.error }
        return UInt64(files.count)
    }

    private static func verify(
        _ file: BackupManifest.File, in directory: String, _ buffer: UnsafeMutableRawBufferPointer,
        _ progress: Progress?
    ) throws(HoldfastError) {
        let path = Array(directory.utf8) + [UInt8(ascii: "/")] + file.path
        let descriptor: OwnedDescriptor
        do throws(HoldfastError) {
            descriptor = try withCString(path) { (name) throws(HoldfastError) in
                try openRegular(name, shown: printablePath(path), code: .targetFailed)
            }
        } catch {
            throw isFile(path) ? error : differs(file, "cannot be read: \(error.message)")
        }
        var size: UInt64 = 0
        var sum: UInt32 = 0
        let hash = file.algorithm == "SHA256" ? SHA256Stream() : nil
        while true {
            let (count, error) = retryingInterrupts { Glibc.read(descriptor.number, buffer.baseAddress, buffer.count) }
            guard count >= 0 else {
                throw HoldfastError.systemCall("read", error, on: printablePath(path), code: .targetFailed)
            }
            if count == 0 { break }
            size += UInt64(count)
            progress?.add(bytes: count)
            let bytes = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            if let hash { hash.update(bytes) } else { sum = crc32c(bytes, after: sum) }
        }
        guard size == file.size else { throw differs(file, "is \(size) bytes long, not \(file.size)") }
        let found: String
        switch file.algorithm {
        case "CRC32C": found = Hex.encode((0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) })
        case "SHA256": found = Hex.encode(hash?.finish().array ?? [])
        // Others were not asked for; sizes were compared.
        default: return
        }
        guard found == file.checksum?.lowercased() else { throw differs(file, "has other content") }
        progress?.add(items: 1)
    }

    /// Whether a regular file is there, or nobody can tell.
    private static func isFile(_ path: [UInt8]) -> Bool {
        var status = stat()
        let (result, number) = withCString(path) { name in retryingInterrupts { lstat(name, &status) } }
        guard result == 0 else { return ![ENOENT, ENOTDIR, ELOOP].contains(number) }
        return status.st_mode & S_IFMT == S_IFREG
    }

    private static func differs(_ file: BackupManifest.File, _ what: String) -> HoldfastError {
        HoldfastError(
            .checkFailed, "\(printablePath(file.path)) \(what)",
            hint: "Run the restore again; if it comes again, run `holdfast check --read-data` and choose another "
                + "snapshot.")
    }
}
