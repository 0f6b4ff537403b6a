// Tells code from comments and strings, so that rules look only where they mean to.

/// A Swift source file, parted into its code and its comments.
///
/// `code` and `comments` are as long as the text and keep its line breaks; everything else is blanked, so that an
/// offset means the same place in all three. Code inside an interpolation counts as code.
struct SwiftSource {
    let path: String
    let text: [UInt8]
    private(set) var code: [UInt8]
    private(set) var comments: [UInt8]
    /// The offset of every line break, in order.
    private let breaks: [Int]

    init(path: String, text: String) {
        self.path = path
        self.text = Array(text.utf8)
        code = self.text.map { $0 == newline ? newline : space }
        comments = code
        breaks = self.text.indices.filter { [text = self.text] in text[$0] == newline }
        var index = 0
        scanCode(from: &index, closing: nil)
    }

    /// The number, from 1, of the line that the offset is in.
    func line(of offset: Int) -> Int {
        var low = 0
        var high = breaks.count
        while low < high {
            let middle = (low + high) / 2
            if breaks[middle] < offset { low = middle + 1 } else { high = middle }
        }
        return low + 1
    }

    /// The lines of `bytes`, which is one of the three texts.
    func lines(_ bytes: [UInt8]) -> [String] {
        var lines = bytes.split(separator: newline, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }

    // MARK: Scanning

    /// Copies code up to the end, or to the parenthesis that closes an interpolation.
    private mutating func scanCode(from index: inout Int, closing: UInt8?) {
        var depth = 0
        while index < text.count {
            let byte = text[index]
            if begins("//", index) {
                scanLineComment(from: &index)
            } else if begins("/*", index) {
                scanBlockComment(from: &index)
            } else if byte == quote || (byte == hash && poundsBeforeQuote(index) != nil) {
                scanString(from: &index)
            } else {
                if byte == UInt8(ascii: "(") { depth += 1 }
                if byte == UInt8(ascii: ")") {
                    if closing != nil && depth == 0 { return }
                    depth -= 1
                }
                code[index] = byte
                index += 1
            }
        }
    }

    private mutating func scanLineComment(from index: inout Int) {
        while index < text.count && text[index] != newline {
            comments[index] = text[index]
            index += 1
        }
    }

    /// Block comments nest.
    private mutating func scanBlockComment(from index: inout Int) {
        var depth = 0
        repeat {
            let step = begins("/*", index) || begins("*/", index) ? 2 : 1
            if begins("/*", index) { depth += 1 } else if begins("*/", index) { depth -= 1 }
            for place in index..<min(index + step, text.count) { comments[place] = text[place] }
            index += step
        } while depth > 0 && index < text.count
        index = min(index, text.count)
    }

    /// Skips a string of any kind; its quotes stay in the code, so that a call with a literal is still seen as one.
    private mutating func scanString(from index: inout Int) {
        let pounds = poundsBeforeQuote(index) ?? 0
        let isMultiline = begins("\"\"\"", index + pounds)
        let marks = isMultiline ? 3 : 1
        let close = Array(repeating: quote, count: marks) + Array(repeating: hash, count: pounds)
        let escape = [UInt8(ascii: "\\")] + Array(repeating: hash, count: pounds)
        code[index + pounds] = quote
        index += pounds + marks
        while index < text.count {
            if begins(close, index) {
                code[index] = quote
                index += close.count
                return
            }
            if begins(escape, index) {
                index += escape.count
                guard index < text.count else { return }
                let isInterpolation = text[index] == UInt8(ascii: "(")
                index += 1
                if isInterpolation { scanCode(from: &index, closing: UInt8(ascii: ")")) }
            } else if text[index] == newline && !isMultiline {
                return
            } else {
                index += 1
            }
        }
    }

    /// How many `#` stand between `index` and a quote; nil when no quote follows them.
    private func poundsBeforeQuote(_ index: Int) -> Int? {
        var end = index
        while end < text.count && text[end] == hash { end += 1 }
        return end < text.count && text[end] == quote ? end - index : nil
    }

    private func begins(_ prefix: String, _ index: Int) -> Bool { begins(Array(prefix.utf8), index) }

    private func begins(_ prefix: [UInt8], _ index: Int) -> Bool {
        guard index + prefix.count <= text.count else { return false }
        for offset in prefix.indices where text[index + offset] != prefix[offset] { return false }
        return true
    }
}

let newline = UInt8(ascii: "\n")
let space = UInt8(ascii: " ")
private let quote = UInt8(ascii: "\"")
private let hash = UInt8(ascii: "#")

extension UInt8 {
    /// Whether the byte can be part of an identifier; all of UTF-8 beyond ASCII counts.
    var isWord: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...: true
        default: false
        }
    }
}

/// The offsets at which `needle` stands in `bytes`. An end of the needle that is a letter is the end of a word.
func occurrences(of needle: String, in bytes: [UInt8]) -> [Int] {
    let needle = Array(needle.utf8)
    guard let first = needle.first, let last = needle.last, bytes.count >= needle.count else { return [] }
    var found: [Int] = []
    for start in 0...(bytes.count - needle.count) where bytes[start] == first {
        let end = start + needle.count
        if first.isWord && start > 0 && bytes[start - 1].isWord { continue }
        if last.isWord && end < bytes.count && bytes[end].isWord { continue }
        if bytes[start..<end].elementsEqual(needle) { found.append(start) }
    }
    return found
}
