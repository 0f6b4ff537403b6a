// How the tests of this target read a text as a configuration.

import Configuring
import Testing

enum Parsing {
    static func read(_ bytes: [UInt8]) -> ConfigurationReading {
        ConfigurationFile.parse(bytes, path: "c.yaml", directory: "/etc/holdfast") { pattern in
            pattern == "[" ? "the pattern cannot be read" : nil
        }
    }

    /// All that is wrong with `text`, as `line:column: message`.
    static func problems(_ text: String) -> [String] { problems(Array(text.utf8)) }

    static func problems(_ bytes: [UInt8]) -> [String] {
        switch read(bytes) {
        case .good: []
        case .bad(let problems): problems.map { "\($0.position.line):\($0.position.column): \($0.message)" }
        }
    }

    static func configuration(_ text: String) throws -> Configuration {
        guard case .good(let configuration) = read(Array(text.utf8)) else {
            Issue.record("\(problems(text))")
            throw Unexpected()
        }
        return configuration
    }

    struct Unexpected: Error {}
}
