// Which codec a chunk was stored with, and what an operator may ask for.

import Primitives

/// How the stored bytes of a chunk become its raw bytes; the value is part of the format.
package enum Codec: UInt8, Sendable {
    case stored = 0
    case zstd = 1
    case zlib = 2
    /// zstd with the base block as its prefix.
    case zstdDelta = 3
}

/// What to spend on compression.
package enum CompressionSetting: Hashable, Sendable {
    /// Store as it is.
    case none
    case zstd(level: Int)
    case zlib(level: Int)
    /// zstd that looks at samples first and gives up at once on what does not shrink.
    case auto(level: Int)

    package static let standard = CompressionSetting.zstd(level: 3)
    package static let zstdLevels = 1...19
    package static let zlibLevels = 1...9

    /// Reads `none`, `zstd`, `zstd:1` to `zstd:19`, `zlib:1` to `zlib:9`, `auto` and `auto:1` to `auto:19`.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var level: Int?
        if parts.count == 2 {
            guard let number = Int(parts[1]), String(number) == parts[1] else { return nil }
            level = number
        }
        switch parts[0] {
        case "none" where level == nil: self = .none
        case "zstd": self = .zstd(level: level ?? 3)
        case "zlib": self = .zlib(level: level ?? 6)
        case "auto": self = .auto(level: level ?? 3)
        default: return nil
        }
        guard isValid else { return nil }
    }

    /// Whether the level is one that the codec has.
    package var isValid: Bool {
        switch self {
        case .none: true
        case .zstd(let level), .auto(let level): Self.zstdLevels.contains(level)
        case .zlib(let level): Self.zlibLevels.contains(level)
        }
    }
}

extension CompressionSetting: CustomStringConvertible {
    package var description: String {
        switch self {
        case .none: "none"
        case .zstd(let level): "zstd:\(level)"
        case .zlib(let level): "zlib:\(level)"
        case .auto(let level): "auto:\(level)"
        }
    }
}
