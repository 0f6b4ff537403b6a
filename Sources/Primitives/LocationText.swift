// Locations as operators type them, and what may not be in them.

/// Locations as operators type them.
package enum LocationText {
    /// - Throws: `.usage` for a URL with a password in it. The message does not repeat the URL.
    package static func refusePassword(in text: String) throws(HoldfastError) {
        guard text.utf8.contains(UInt8(ascii: ":")) else { return }
        guard let start = text.firstRange(of: "://")?.upperBound else { return }
        let authority = text[start...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") else { return }
        throw HoldfastError(
            .usage, "a password inside a URL is refused, since others can see it in the list of processes",
            hint: "Take the password out of the URL and give it by the source's own convention, or a file.")
    }
}
