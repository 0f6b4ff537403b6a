// Text from outside as it may stand in a page, a table or XML: what would hide or turn text is shown by its number.

/// Names, messages and reasons that others chose.
package enum VisibleText {
    /// Control characters, line and paragraph separators, marks without width and those that turn the direction of text
    /// as `\u{…}`; all else as it is.
    package static func of(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if isHidden(scalar) {
                result += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0xAD, 0x61C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF,
            0xFFF9...0xFFFB,
            0xFFFE, 0xFFFF:
            true
        default: scalar.properties.isNoncharacterCodePoint
        }
    }

    /// For text and attributes of HTML and XML.
    ///
    /// It goes by scalars and not by characters: a quotation mark with a combining accent is one character and is a
    /// quotation mark all the same to whoever parses it.
    package static func markup(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in of(text).unicodeScalars {
            switch scalar {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// Markup that is put together from tags and text; text is escaped wherever it goes in.
struct Markup {
    private(set) var text = ""

    /// An attribute with its value.
    typealias Attribute = (name: StaticString, value: String)

    /// Opens an element, writes what is in it, and closes it.
    mutating func tag(_ name: StaticString, _ attributes: [Attribute] = [], _ body: (inout Markup) -> Void) {
        open(name, attributes)
        text += ">"
        body(&self)
        text += "</\(name)>"
    }

    mutating func tag(_ name: StaticString, _ attributes: [Attribute], _ content: String) {
        tag(name, attributes) { $0.add(content) }
    }

    mutating func tag(_ name: StaticString, _ content: String) { tag(name, []) { $0.add(content) } }

    /// An element without content.
    mutating func empty(_ name: StaticString, _ attributes: [Attribute] = []) {
        open(name, attributes)
        text += "/>"
    }

    mutating func add(_ content: String) { text += VisibleText.markup(content) }

    /// Markup that stands in the source of this program.
    mutating func literal(_ content: StaticString) { text += "\(content)" }

    private mutating func open(_ name: StaticString, _ attributes: [Attribute]) {
        text += "<\(name)"
        for attribute in attributes { text += " \(attribute.name)=\"\(VisibleText.markup(attribute.value))\"" }
    }
}
