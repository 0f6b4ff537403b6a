// The Cache Directory Tagging Specification (bford.info/cachedir).

import CLinux
import Glibc
import Primitives
import Repository

enum CacheTag {
    static let name = Array("CACHEDIR.TAG".utf8)
    static let signature = Array("Signature: 8a477f597d28d172789f06886806bc55".utf8)

    /// Whether the directory holds a regular file of that name that begins with the signature.
    static func isValid(in directory: Int32) -> Bool {
        let number = withCString(name) { openPart(directory, $0, O_RDONLY | O_NONBLOCK) }
        guard number >= 0 else { return false }
        let descriptor = OwnedDescriptor(number)
        var status = stat()
        guard fstat(descriptor.number, &status) == 0, EntryKind(fileMode: status.st_mode) == .file else { return false }
        var start = [UInt8](repeating: 0, count: signature.count)
        let count = start.withUnsafeMutableBytes { pread(descriptor.number, $0.baseAddress, $0.count, 0) }
        return count == signature.count && start == signature
    }
}
