// Texts that were to be filled in and were not: a job that goes to an example's address seems to work and does nothing.

/// What stands for something else.
package enum Placeholder {
    private static let words = [
        "changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "fillme", "your-", "your_",
        "placeholder", "xxxx", "example.com", "example.org", "example.net", "example.invalid",
    ]

    /// The piece of `text` that is to be filled in; nil when it is whole.
    ///
    /// - Parameter isCode: Whether brackets may have a meaning of their own, as in the words of a command.
    package static func found(in text: String, isCode: Bool = false) -> String? {
        let lower = text.lowercased()
        if let word = words.first(where: { lower.contains($0) }) { return word }
        if isCode { return nil }
        for (open, close) in [("<", ">"), ("${", "}"), ("{{", "}}")] {
            guard let start = text.firstRange(of: open),
                let end = text[start.upperBound...].firstRange(of: close)
            else { continue }
            let inner = text[start.upperBound..<end.lowerBound]
            let isName =
                !inner.isEmpty && inner.allSatisfy { $0.isLetter || $0.isNumber || " _-.".contains($0) }
                && (open != "<" || (inner.first != " " && inner.last != " "))
            if isName { return String(text[start.lowerBound..<end.upperBound]) }
        }
        return nil
    }
}
