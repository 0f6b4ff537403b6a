// Splits the text of HOLDFAST_PASSWORD_COMMAND into words.

import Primitives

/// The rule, which is all there is to it: spaces and tabs part words; '…' and "…" keep what stands between them; a
/// backslash, but not within '…', takes the next letter as it is. No variables, no wildcards, no shell.
enum CommandWords {
    /// - Throws: `.configuration` for an open quote, a backslash at the end, or no word at all.
    static func split(_ text: String, from source: String) throws(HoldfastError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var letters = text.makeIterator()
        while let letter = letters.next() {
            if letter == "\\", quote != "'" {
                guard let next = letters.next() else { throw refused(source, "ends in a backslash") }
                word = (word ?? "") + String(next)
            } else if let open = quote {
                if letter == open { quote = nil } else { word = (word ?? "") + String(letter) }
            } else if letter == "'" || letter == "\"" {
                quote = letter
                word = word ?? ""
            } else if letter == " " || letter == "\t" {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(letter)
            }
        }
        if quote != nil { throw refused(source, "has a quote that is not closed") }
        if let done = word { words.append(done) }
        guard words.first?.isEmpty == false else { throw refused(source, "names no program") }
        return words
    }

    private static func refused(_ source: String, _ what: String) -> HoldfastError {
        HoldfastError(
            .configuration, "\(source) \(what)",
            hint: "Words are parted by spaces; use quotes or a backslash for a space within a word.")
    }
}
