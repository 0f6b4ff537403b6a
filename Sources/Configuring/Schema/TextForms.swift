// The kinds of text that keys take.

import Compression
import ObjectStore
import Primitives
import Scheduling
import Workloads

extension TextForm {
    private static func make(
        _ name: String, _ doc: String, pattern: String, expected: String, isGood: @escaping @Sendable (String) -> Bool
    ) -> TextForm {
        TextForm(name: name, doc: doc, pattern: pattern) { isGood($0) ? nil : "expected \(expected), not `\($0)`" }
    }

    static let line = make(
        "text", "a text of one line", pattern: #"^[^\n]{1,1024}$"#, expected: "one line of at most 1024 letters"
    ) { !$0.isEmpty && $0.count <= 1024 && !$0.contains { $0.isNewline || $0 == "\0" } }

    static let name = make(
        "name", "letters, digits, `.`, `_` and `-`, 128 at most", pattern: "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
        expected: "a name of letters, digits, `.`, `_` and `-`", isGood: isName)

    static func isName(_ text: String) -> Bool {
        guard (1...128).contains(text.utf8.count), let first = text.utf8.first else { return false }
        func isWord(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        return isWord(first)
            && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    static let duration = make(
        "duration", "`90s`, `15m`, `12h`, `30d`, `8w`, or a sum such as `1d12h`", pattern: "^([0-9]+[smhdw])+$",
        expected: "a duration such as 15m, 12h or 1d12h"
    ) { Duration(lengthOfTime: $0) != nil }

    static let size = make(
        "size", "`500K`, `10M`, `1.5G`, in powers of 1024",
        pattern: "^[0-9]+(\\.[0-9]+)?([KkMmGgTt])?([Ii]?[Bb])?$", expected: "a size such as 500K, 10M or 1.5G"
    ) { text in
        // What the sizes' own parser takes besides, such as exponents, is not in the schema's pattern.
        text.utf8.first.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } == true
            && !text.lowercased().contains("e") && ByteCount(text).map { $0.bytes > 0 } == true
    }

    static let codec = make(
        "codec", "`zstd[:1-19]`, `zlib[:1-9]`, `none` or `auto[:1-19]`",
        pattern: "^(none|(zstd|auto)(:(1[0-9]|[1-9]))?|zlib(:[1-9])?)$",
        expected: "zstd[:1-19], zlib[:1-9], none or auto[:1-19]"
    ) { CompressionSetting($0) != nil }

    static let timeZone = TextForm(
        name: "zone", doc: "a name of the time zone database, such as `Europe/Berlin`, or `UTC`",
        pattern: "^[A-Za-z0-9_+/-]{1,64}$"
    ) { text in
        do throws(HoldfastError) {
            _ = try TimeZoneRules(named: text)
            return nil
        } catch {
            return error.message
        }
    }

    static let secret = TextForm(
        name: "secret", doc: "`file:PATH` or `env:NAME`, never the secret itself", pattern: "^(file:|env:).+$",
        refusal: { SecretReference($0) == nil ? SecretReference.refusal(of: $0) : nil }, isSecret: true)

    static let keyFile = TextForm(
        name: "key file", doc: "`file:PATH` of a file of 32 random bytes", pattern: "^file:.+$",
        refusal: { text in
            guard let reference = SecretReference(text) else { return SecretReference.refusal(of: text) }
            if case .file = reference { return nil }
            return "a raw key is read from a file; write file:PATH"
        }, isSecret: true)

    static let location = TextForm(
        name: "location", doc: "a path, `dir:PATH` or `file:///PATH`; a relative path goes from the file's directory",
        pattern: "^.+$"
    ) { text in
        do throws(HoldfastError) {
            _ = try StoreLocation(text)
            return nil
        } catch {
            return error.message
        }
    }

    static let sourceURL = TextForm(
        name: "URL",
        doc: WorkloadScheme.sources.map { scheme in
            ([scheme.form] + scheme.otherForms).map { "`\($0)`" }.joined(separator: " or ") + " (\(scheme.doc))"
        }.joined(separator: ", ")
            + "; a relative path goes from the file's directory",
        pattern: "^(" + WorkloadScheme.sources.map(\.name).joined(separator: "|") + "):.+$"
    ) { SourceURL($0) == nil ? SourceURL.refusal(of: $0) : nil }

    static let webAddress = TextForm(
        name: "web address", doc: "`https://HOST[:PORT]/PATH`, or `http://localhost:PORT/PATH`",
        pattern: "^(https://|http://(localhost|127\\.0\\.0\\.1|\\[::1\\]))[^\\s@]*$"
    ) { text in WebAddress.refusal(of: text) }

    static let severity = make(
        "severity", "`info`, `warning` or `critical`", pattern: "^(info|warning|critical)$",
        expected: "info, warning or critical"
    ) { AlertRecord.Severity(rawValue: $0) != nil }

    static let pattern = make(
        "pattern", "a pattern as in .gitignore", pattern: "^.+$", expected: "a pattern"
    ) { !$0.isEmpty }

    static let argument = make(
        "word", "one word of a command; no shell is between", pattern: "^[^\\u0000]*$", expected: "a word without zeros"
    ) { !$0.utf8.contains(0) }

    static let tagRule = make(
        "tag", "`KEY` or `KEY=VALUE`", pattern: "^[^=]+(=.*)?$", expected: "KEY or KEY=VALUE"
    ) { !$0.isEmpty && !$0.hasPrefix("=") }

    static let streamName = make(
        "file name", "a name without `/`", pattern: "^[^/\\u0000]{1,255}$", expected: "a file name without `/`"
    ) { (1...255).contains($0.utf8.count) && !$0.utf8.contains { $0 == 0 || $0 == 0x2F } && $0 != "." && $0 != ".." }

    static let tagName = make(
        "tag", "a name without `=`", pattern: "^[^=]{1,256}$", expected: "a name without `=`"
    ) { !$0.isEmpty && $0.count <= 256 && !$0.contains("=") }
}
