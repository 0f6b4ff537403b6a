// The little of XML that AWS's older services answer in.

import Primitives

/// Finds the text of elements by their name, wherever they stand; enough for answers that are flat and known.
enum XMLText {
    /// The text of the first element of this name that has neither attributes nor children, with the entities for the
    /// five marks resolved; nil when there is none.
    static func bytes(of name: String, in document: SecretBytes) -> SecretBytes? {
        document.withBytes { raw in
            let (open, close) = (Array("<\(name)>".utf8), Array("</\(name)>".utf8))
            guard let start = place(of: open, in: raw, from: 0).map({ $0 + open.count }),
                let end = place(of: close, in: raw, from: start)
            else { return nil }
            var text: [UInt8] = []
            text.reserveCapacity(end - start)
            var position = start
            while position < end {
                guard raw[position] != UInt8(ascii: "<") else {
                    wipe(&text)
                    return nil
                }
                let entity = raw[position] == UInt8(ascii: "&") ? entity(raw, position, end) : nil
                text.append(entity?.mark ?? raw[position])
                position += entity?.count ?? 1
            }
            return SecretBytes(wiping: &text)
        }
    }

    /// As ``bytes(of:in:)``, for what is no secret.
    static func text(of name: String, in document: SecretBytes) -> String? {
        bytes(of: name, in: document)?.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    private static let entities: [(name: [UInt8], mark: UInt8)] = [
        ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)[0]) }

    private static func entity(
        _ raw: UnsafeRawBufferPointer, _ position: Int, _ end: Int
    ) -> (mark: UInt8, count: Int)? {
        entities.first { raw[position..<end].starts(with: $0.name) }.map { ($0.mark, $0.name.count) }
    }

    private static func place(of pattern: [UInt8], in raw: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard raw.count >= pattern.count else { return nil }
        var position = start
        while position <= raw.count - pattern.count {
            if raw[position] == pattern[0], raw[position..<(position + pattern.count)].elementsEqual(pattern) {
                return position
            }
            position += 1
        }
        return nil
    }
}
