// Where in AWS a vault is.

import Primitives

/// A region of AWS, such as `eu-central-1`.
package struct AWSRegion: Sendable, Hashable {
    package let name: String

    /// - Throws: `.usage` for what is no name of a region.
    package init(_ name: String) throws(HoldfastError) {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        let isFit =
            name.utf8.count <= 32 && parts.count >= 3 && parts.last.map { Int($0) != nil } == true
            && parts.allSatisfy { part in
                !part.isEmpty && part.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
            }
        guard isFit else {
            throw HoldfastError(
                .usage, "`\(name.prefix(40))` is no region of AWS",
                hint: "Write vault:aws:REGION, as in vault:aws:eu-central-1.")
        }
        self.name = name
    }

    /// Under which the services of the region's partition are (AWS General Reference, "Service endpoints").
    package var domain: String {
        if name.hasPrefix("cn-") { return "amazonaws.com.cn" }
        if name.hasPrefix("eusc-") { return "amazonaws.eu" }
        if name.hasPrefix("us-iso-") { return "c2s.ic.gov" }
        if name.hasPrefix("us-isob-") { return "sc2s.sgov.gov" }
        return "amazonaws.com"
    }
}
