// The JSON that goes to AWS.

import Primitives
import SecretVaults

/// A JSON object that is written member by member, and leaves no copy of a secret behind.
struct AWSObject: ~Copyable {
    private var buffer = SecretBuffer()
    private var isEmpty = true

    init() { buffer.append("{") }

    mutating func add(_ name: String, _ text: String) {
        begin(name)
        buffer.appendJSON(text)
    }

    /// - Precondition: `utf8` is UTF-8.
    mutating func add(_ name: String, secret utf8: SecretBytes) {
        begin(name)
        utf8.withBytes { buffer.appendJSON($0) }
    }

    mutating func add(_ name: String, number: Int) {
        begin(name)
        buffer.append("\(number)")
    }

    mutating func add(_ name: String, flag: Bool) {
        begin(name)
        buffer.append(flag ? "true" : "false")
    }

    mutating func add(_ name: String, list: [String]) {
        begin(name)
        buffer.append("[")
        for (index, text) in list.enumerated() {
            if index > 0 { buffer.append(",") }
            buffer.appendJSON(text)
        }
        buffer.append("]")
    }

    /// Objects of texts, as `Tags` and `Filters` are lists of.
    mutating func add(_ name: String, pairs: [[(name: String, value: AWSText)]]) {
        begin(name)
        buffer.append("[")
        for (index, members) in pairs.enumerated() {
            buffer.append(index > 0 ? ",{" : "{")
            for (place, member) in members.enumerated() {
                if place > 0 { buffer.append(",") }
                buffer.appendJSON(member.name)
                buffer.append(":")
                switch member.value {
                case .one(let text): buffer.appendJSON(text)
                case .list(let text):
                    buffer.append("[")
                    buffer.appendJSON(text)
                    buffer.append("]")
                }
            }
            buffer.append("}")
        }
        buffer.append("]")
    }

    private mutating func begin(_ name: String) {
        if !isEmpty { buffer.append(",") }
        isEmpty = false
        buffer.appendJSON(name)
        buffer.append(":")
    }

    consuming func taken() -> SecretBytes {
        buffer.append("}")
        return buffer.taken()
    }
}

/// A text, or a list of one.
enum AWSText {
    case one(String)
    case list(String)
}
