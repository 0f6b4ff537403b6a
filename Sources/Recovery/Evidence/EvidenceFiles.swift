// Files with evidence on this machine: what is written for a key that may not sign, and what is read to check it.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Repository

package enum EvidenceFiles {
    /// Writes a new file, readable by its owner alone.
    ///
    /// - Durability: on return the bytes and the name are on stable storage.
    /// - Throws: `.usage` when there is a file of that name, which is left alone.
    package static func write(_ bytes: [UInt8], to path: String) throws(HoldfastError) {
        guard try SecretFile.create(path, SecretBytes(copying: bytes.span.bytes)) else {
            throw HoldfastError(
                .usage, "there is a file \(path) already", hint: "Give a name that is not taken, or remove the file.")
        }
    }

    /// Reads a draft or a proof.
    ///
    /// - Parameter waits: Whether it may be a pipe that somebody writes into, as the operator may name one. What lies
    ///   where anybody can put something is only read when it is a regular file.
    /// - Throws: `.inputOutput` and the like, `.limitExceeded` for a file that is longer than any can be,
    ///   `.corruptObject` for anything else than evidence.
    package static func read(_ path: String, waits: Bool = true) throws(HoldfastError) -> EvidenceFile {
        try EvidenceFile(try bytes(path, EvidenceFile.maximumSize, waits: waits), name: path)
    }

    package static func bytes(_ path: String, _ limit: ByteCount, waits: Bool) throws(HoldfastError) -> [UInt8] {
        let flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (waits ? 0 : O_NONBLOCK)
        let (file, number) = retryingInterrupts { open(path, flags) }
        guard file >= 0 else { throw HoldfastError.systemCall("open", number, on: path) }
        defer { close(file) }
        var status = stat()
        guard waits || fstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG else {
            throw HoldfastError(
                .inputOutput, "\(path) is no regular file", hint: "Look who put it there, and take it away.")
        }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let (count, number) = piece.withUnsafeMutableBytes { raw in
                retryingInterrupts { Glibc.read(file, raw.baseAddress, raw.count) }
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: path) }
            if count == 0 { return bytes }
            bytes += piece[..<count]
            guard UInt64(bytes.count) <= limit.bytes else {
                throw HoldfastError(
                    .limitExceeded, "\(path) is over the limit of \(limit)", hint: "It is no file with evidence.")
            }
        }
    }
}

/// Where a drill or an incident restore leaves its record.
package enum EvidencePlace: Sendable {
    /// In the repository, signed.
    case repository
    /// In a new file, signed by nobody, to be imported by somebody with the right.
    case file(String)

    /// Looks, before the work begins, whether the record can be left there at its end.
    ///
    /// - Throws: `.notPermitted` for a repository whose key may not sign; `.usage` for a file that is there, and one
    ///   that cannot be made.
    package func prepare(_ repository: Repository) throws(HoldfastError) {
        switch self {
        case .repository: try repository.requireAttest()
        case .file(let path):
            guard access(path, F_OK) != 0 else {
                throw HoldfastError(
                    .usage, "there is a file \(path) already",
                    hint: "Give a name that is not taken, or remove the file.")
            }
            let parent = Host.absolutePath(path + "/..")
            guard access(parent + "/.", W_OK | X_OK) == 0 else {
                throw HoldfastError(
                    .usage,
                    "the record cannot be left in \(path): \(parent) is no directory that this user may write to",
                    hint: "Make the directory, or name a file in another one.")
            }
        }
    }

    /// Leaves the record.
    ///
    /// - Parameter isRepeated: Whether another process may have left it before it died; the one that is there stays.
    /// - Durability: on return it is on stable storage.
    /// - Returns: its place in the chain; nil for a file.
    @discardableResult
    package func leave(
        _ record: EvidenceRecord, _ repository: Repository, isRepeated: Bool = false
    ) throws(HoldfastError) -> Evidence? {
        switch self {
        case .repository:
            return isRepeated
                ? try repository.attestOnce(record, origin: .witnessed) : try repository.attest(record)
        case .file(let path):
            if isRepeated, case .draft(let draft)? = try? EvidenceFiles.read(path, waits: false),
                draft.record.id == record.id
            {
                return nil
            }
            try EvidenceFiles.write(
                try EvidenceDraft(repository: repository.id, record: record).encoded(), to: path)
            return nil
        }
    }
}
