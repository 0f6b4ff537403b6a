// The path that integration tests run the program by.

import Foundation
import TestSupport
import Testing

@Suite("The built program")
struct ProductBinaryTests {
    @Test("stands beside the running tests")
    func path() {
        #expect(ProductBinary.path.hasPrefix("/"))
        #expect(FileManager.default.isExecutableFile(atPath: ProductBinary.path), "\(ProductBinary.path)")
    }
}
