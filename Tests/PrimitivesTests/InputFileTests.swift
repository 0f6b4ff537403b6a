// Small files that are read whole, and pipes in their place.

import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

@Suite("A file that is read whole")
struct InputFileTests {
    private let directory = TemporaryDirectory()

    @Test("is waited for where an operator named a pipe, and refused where one was only found")
    func pipe() throws {
        let path = directory.path + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let error = #expect(throws: HoldfastError.self) {
            try InputFile.read(path, limit: ByteCount(100), waits: false)
        }
        #expect(error?.message.contains(path) == true)
        // Open at both ends, so that nobody waits for the other.
        let writer = open(path, O_RDWR | O_CLOEXEC)
        #expect(writer >= 0 && write(writer, "text", 4) == 4)
        #expect(throws: HoldfastError.self) { try InputFile.read(path, limit: ByteCount(3)) }
        close(writer)
        try Data("text".utf8).write(to: URL(fileURLWithPath: directory.path + "/file"))
        let text = try InputFile.read(directory.path + "/file", limit: ByteCount(4), waits: false)
        #expect(text == Array("text".utf8))
    }
}
