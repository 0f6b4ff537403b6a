// Where the program under test is, for tests that run it as a user would.

import Glibc

/// The `holdfast` that was built beside the running test bundle.
package enum ProductBinary {
    /// The program's absolute path. A build with tests puts it into the directory of the test executable.
    package static var path: String { directory + "/holdfast" }

    /// The directory of the running executable.
    package static var directory: String {
        let capacity = Int(PATH_MAX)
        let own = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = max(0, readlink("/proc/self/exe", buffer.baseAddress, capacity))
        }
        precondition(!own.isEmpty, "/proc/self/exe cannot be read")
        return String(decoding: own[..<(own.lastIndex(of: UInt8(ascii: "/")) ?? 0)], as: UTF8.self)
    }
}
