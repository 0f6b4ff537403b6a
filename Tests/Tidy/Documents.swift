// Rules for what is not Swift: documents that must keep up with the code, links, scripts and the image.

import Foundation

enum Documents {
    // MARK: Dependencies

    /// Each package, system library and installed Debian package has a heading or a table row of its own.
    static func checkDependencies(_ manifest: Manifest, setup: String, document: String) -> [Violation] {
        let named = Set(
            document.split(separator: "\n").filter { $0.hasPrefix("|") || $0.hasPrefix("#") }
                .flatMap { $0.split(separator: "|").prefix(1) }
                .flatMap { codeSpans(String($0)) })
        let libraries = manifest.targets.map(\.name).filter { $0.hasPrefix("C") && $0 != "CLinux" && isSystem($0) }
        let installed = setupPackages(setup)
        let needed = manifest.packages + libraries + manifest.debianPackages + installed
        var violations = Set(needed).subtracting(named).sorted()
            .map { Violation(path: "docs/dependencies.md", line: 0, message: "has no line for \($0)") }
        violations += Set(manifest.debianPackages).subtracting(installed).sorted()
            .map { Violation(path: "scripts/setup", line: 0, message: "does not install \($0)") }
        return violations
    }

    private static func isSystem(_ target: String) -> Bool { target.dropFirst().first?.isUppercase == true }

    /// The words of every `…_packages=(…)` array in the setup script.
    static func setupPackages(_ script: String) -> [String] {
        script.ranges(of: "_packages=(")
            .flatMap { script[$0.upperBound...].prefix { $0 != ")" }.split(whereSeparator: \.isWhitespace) }
            .map(String.init)
    }

    /// What stands between pairs of backquotes.
    private static func codeSpans(_ text: String) -> [String] {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }

    // MARK: Errors

    /// Each code has a section whose text names the exit status that the table in the source gives.
    static func checkErrors(table: String, document: String) -> [Violation] {
        let statuses = exitStatuses(table)
        let sections = sections(document)
        return errorCodes(table).compactMap { name, raw in
            func violation(_ message: String) -> Violation {
                Violation(path: "docs/errors.md", line: 0, message: message)
            }
            guard let section = sections[raw] else { return violation("has no section `\(raw)`") }
            let status = statuses[name] ?? statuses["default"] ?? 1
            let isNamed = section.split(separator: "\n").contains { $0 == "Exit status: \(status)." }
            return isNamed ? nil : violation("section `\(raw)` does not say \"Exit status: \(status).\"")
        }
    }

    /// `case name = "raw"`, one a line.
    static func errorCodes(_ table: String) -> [(name: String, raw: String)] {
        table.split(separator: "\n").compactMap { line in
            let parts = line.split { " =\"".contains($0) }
            guard parts.count == 3, parts[0] == "case", line.contains("= \"") else { return nil }
            return (String(parts[1]), String(parts[2]))
        }
    }

    /// `case .a, .b: 64` and `default: 1`.
    private static func exitStatuses(_ table: String) -> [String: Int] {
        var statuses: [String: Int] = [:]
        for line in table.split(separator: "\n") {
            let halves = line.split(separator: ":")
            guard halves.count == 2, let status = Int(halves[1].trimmingCharacters(in: .whitespaces)) else { continue }
            for name in halves[0].split(whereSeparator: { !$0.isLetter && !$0.isNumber }) where name != "case" {
                statuses[String(name)] = status
            }
        }
        return statuses
    }

    private static func sections(_ document: String) -> [String: String] {
        var sections: [String: String] = [:]
        var current = ""
        for line in document.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#") {
                current = slug(String(line.drop { $0 == "#" }))
            } else {
                sections[current, default: ""] += line + "\n"
            }
        }
        return sections
    }

    // MARK: Links

    /// Relative links lead to files that exist, and their anchors to headings.
    static func checkLinks(_ path: String, _ text: String, exists: (String) -> Bool, read: (String) -> String)
        -> [Violation]
    {
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        return links(text).compactMap { line, target in
            if target.contains("://") || target.hasPrefix("mailto:") { return nil }
            let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let file = parts[0].isEmpty ? path : resolve(parts[0], in: folder)
            guard parts[0].isEmpty || exists(file) else {
                return Violation(path: path, line: line, message: "link to \(target), which does not exist")
            }
            guard parts.count == 2, file.hasSuffix(".md") else { return nil }
            let document = parts[0].isEmpty ? text : read(file)
            let anchors = document.split(separator: "\n").filter { $0.hasPrefix("#") }
                .map { slug(String($0.drop { $0 == "#" })) }
            return anchors.contains(parts[1])
                ? nil : Violation(path: path, line: line, message: "link to \(target), where there is no such heading")
        }
    }

    /// The targets of `[text](target)`, outside code.
    static func links(_ text: String) -> [(line: Int, target: String)] {
        var found: [(line: Int, target: String)] = []
        var isFenced = false
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") { isFenced.toggle() }
            if isFenced { continue }
            // Every second part of the line is code.
            let prose = line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
                .map { $0.offset % 2 == 0 ? String($0.element) : "code" }.joined()
            for part in prose.components(separatedBy: "](").dropFirst() {
                found.append((index + 1, String(part.prefix { $0 != ")" && $0 != " " })))
            }
        }
        return found
    }

    private static func resolve(_ path: String, in folder: String) -> String {
        var parts = folder.split(separator: "/")
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }

    /// The anchor that renderers make of a heading.
    static func slug(_ heading: String) -> String {
        String(
            heading.trimmingCharacters(in: .whitespaces).lowercased().compactMap { character -> Character? in
                if character == " " { return "-" }
                return character.isLetter || character.isNumber || "-_".contains(character) ? character : nil
            })
    }

    // MARK: Paths

    /// Places on the machine of whoever wrote a file mean nothing to whoever reads it.
    static func checkPaths(_ path: String, _ text: String) -> [Violation] {
        let banned = ["/work" + "/", "/root" + "/", "bash_" + "jobs"]
        return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().flatMap { index, line in
            banned.filter { line.contains($0) }
                .map { Violation(path: path, line: index + 1, message: "names \($0), a path of one machine") }
        }
    }

    /// The files that a shell runs, by their first line.
    static func isShellScript(_ text: String) -> Bool {
        let first = text.prefix { $0 != "\n" }
        return first.hasPrefix("#!") && (first.hasSuffix("bash") || first.hasSuffix("sh"))
    }
}
