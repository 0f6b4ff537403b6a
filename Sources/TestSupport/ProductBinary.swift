// Where the program under test is, for tests that run it as a user would.

import Glibc

/// The `holdfast` that was built beside the running test bundle.
package enum ProductBinary {
    /// The program's absolute path. A build with tests puts it into the directory of the test executable.
    package static var path: String { directory + "/holdfast" }

    /// The directory of the running executable.
    package static var directory: String {
        var own = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = own.withUnsafeMutableBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink("/proc/self/exe", $0, text.count) } ?? 0
            }
        }
        own.removeLast(own.count - max(0, count))
        precondition(!own.isEmpty, "/proc/self/exe cannot be read")
        return String(decoding: own[..<(own.lastIndex(of: UInt8(ascii: "/")) ?? 0)], as: UTF8.self)
    }
}
