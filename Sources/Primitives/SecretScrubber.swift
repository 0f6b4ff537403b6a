// Takes secrets out of what programs print, before it is kept or shown.

import Synchronization

/// Replaces known secrets, and what looks like one, by `[redacted]`.
///
/// Known values are found wherever they stand. What looks like a secret is the value of a word that names one
/// (`password=…`, `"token": "…"`, `Authorization: Bearer …`), the password of a URL, and a private key in PEM.
package struct SecretScrubber: Sendable {
    /// Values shorter than this would be found everywhere.
    package static let shortestKnown = 4
    private static let mark = Array("[redacted]".utf8)
    private static let names = [
        "password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api_key", "api-key", "access_key",
        "access-key", "accesskey", "private_key", "private-key", "authorization", "credential", "pgpassword",
    ].map { Array($0.utf8) }

    /// The letters that names begin with, so that most bytes are compared with nothing.
    private static let initials = Set(names.compactMap(\.first))

    /// What came to be known later; the same for all copies.
    private final class Learned: Sendable {
        let secrets = Mutex<[SecretBytes]>([])
    }

    private let known: [SecretBytes]
    private let learned = Learned()

    package init(known: [SecretBytes] = []) { self.known = known.filter { $0.count >= Self.shortestKnown } }

    /// Knows from now on what `other` knows as well, in all copies of this one.
    package func learn(from other: SecretScrubber) {
        let fresh = other.all.filter { secret in !all.contains { $0.equals(secret) } }
        learned.secrets.withLock { $0 += fresh }
    }

    private var all: [SecretBytes] { known + learned.secrets.withLock { $0 } }

    package func scrub(_ text: String) -> String { String(decoding: scrub(Array(text.utf8)), as: UTF8.self) }

    package func scrub(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for secret in all {
            secret.withBytes { raw in result = Self.replace(Array(raw), in: result) }
        }
        result = Self.scrubKeys(result)
        return Self.scrubWords(Self.scrubURLs(result))
    }

    private static func replace(_ needle: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        guard let first = needle.first, bytes.count >= needle.count else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var place = 0
        while place < bytes.count {
            if bytes[place] == first, place + needle.count <= bytes.count,
                bytes[place..<place + needle.count].elementsEqual(needle)
            {
                result += mark
                place += needle.count
            } else {
                result.append(bytes[place])
                place += 1
            }
        }
        return result
    }

    private static func range(of needle: [UInt8], in bytes: [UInt8], from start: Int) -> Range<Int>? {
        guard bytes.count >= needle.count, start <= bytes.count - needle.count else { return nil }
        for place in start...(bytes.count - needle.count)
        where bytes[place] == needle[0] && bytes[place..<place + needle.count].elementsEqual(needle) {
            return place..<place + needle.count
        }
        return nil
    }

    /// Private keys: from their first line to their last, or to the end when that is missing.
    private static func scrubKeys(_ bytes: [UInt8]) -> [UInt8] {
        let (begin, key) = (Array("-----BEGIN ".utf8), Array("PRIVATE KEY-----".utf8))
        let end = Array("-----END ".utf8)
        var (result, place) = ([UInt8](), 0)
        while let start = range(of: begin, in: bytes, from: place) {
            let line = bytes[start.upperBound...].prefix { $0 != 10 }
            guard range(of: key, in: Array(line), from: 0) != nil else {
                // Nor does any other beginning on this line have it.
                result += bytes[place..<line.endIndex]
                place = line.endIndex
                continue
            }
            result += bytes[place..<start.lowerBound] + mark
            guard let last = range(of: end, in: bytes, from: start.upperBound) else { return result }
            place = bytes[last.lowerBound...].firstIndex(of: 10) ?? bytes.count
        }
        return result + bytes[place...]
    }

    /// `scheme://user:password@host`. Every byte is looked at a fixed number of times, whatever the text.
    private static func scrubURLs(_ bytes: [UInt8]) -> [UInt8] {
        let marker = Array("://".utf8)
        var (result, place) = ([UInt8](), 0)
        var (wordEnd, lastAt) = (0, -1)
        while let found = range(of: marker, in: bytes, from: place) {
            let start = found.upperBound
            if start > wordEnd {
                let word = bytes[start...].prefix { $0 > 32 && $0 != UInt8(ascii: "\"") }
                wordEnd = word.endIndex
                lastAt = word.lastIndex(of: UInt8(ascii: "@")) ?? -1
            }
            result += bytes[place..<start]
            place = start
            // A password may hold a slash that nobody escaped, so the last @ of the word counts where there is a colon.
            let authority = bytes[start..<wordEnd].prefix { $0 != UInt8(ascii: "/") }
            guard lastAt >= start, let colon = authority.firstIndex(of: UInt8(ascii: ":")), colon < lastAt else {
                continue
            }
            result += bytes[place...colon] + mark
            place = lastAt
        }
        return result + bytes[place...]
    }

    /// `name=value`, `name: value`, `"name": "value"`.
    private static func scrubWords(_ bytes: [UInt8]) -> [UInt8] {
        let lower = bytes.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }
        var (result, place) = ([UInt8](), 0)
        while place < bytes.count {
            guard initials.contains(lower[place]), let name = names.first(where: { lower[place...].starts(with: $0) })
            else {
                result.append(bytes[place])
                place += 1
                continue
            }
            let start = place
            place += name.count
            // The rest of the name, as in PASSWORD_1 or secretKey.
            let isName = { (byte: UInt8) in
                byte >= 48 && byte <= 57 || byte >= 97 && byte <= 122 || byte == 95 || byte == 45
            }
            var next = place
            while next < bytes.count, isName(lower[next]) { next += 1 }
            // Another name within this one ends at the same place and need not be looked for.
            place = next
            result += bytes[start..<place]
            if next < bytes.count, bytes[next] == 34 || bytes[next] == 39 { next += 1 }
            while next < bytes.count, bytes[next] == 32 { next += 1 }
            guard next < bytes.count, bytes[next] == UInt8(ascii: "=") || bytes[next] == UInt8(ascii: ":") else {
                continue
            }
            next += 1
            while next < bytes.count, bytes[next] == 32 { next += 1 }
            result += bytes[place..<next]
            place = next
            guard place < bytes.count else { break }
            let quote: UInt8? = bytes[place] == 34 || bytes[place] == 39 ? bytes[place] : nil
            if let quote {
                result.append(quote)
                place += 1
            }
            // A header's value is all of its line; else a word.
            let isHeader = name.starts(with: "authorization".utf8)
            var end = place
            while end < bytes.count, bytes[end] != 10,
                quote.map({ bytes[end] != $0 }) ?? (isHeader || bytes[end] > 32 && bytes[end] != UInt8(ascii: ","))
            {
                end += 1
            }
            if end > place, !bytes[place..<end].elementsEqual(mark) {
                result += mark
            } else {
                result += bytes[place..<end]
            }
            place = end
        }
        return result
    }
}
