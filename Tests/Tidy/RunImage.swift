// Compares what the program loads with what the Dockerfile installs.

import Foundation

/// The run image's libraries.
enum RunImage {
    /// Packages of the last stage that are no libraries.
    static let companions: Set<String> = ["ca-certificates", "tzdata"]
    /// In every Debian image; the Swift runtime is linked into the released program.
    static let always: Set<String> = ["libc6", "libgcc-s1", "libstdc++6"]

    /// The packages that the Dockerfile's last stage installs.
    static func installed(_ dockerfile: String) -> Set<String> {
        let joined = dockerfile.replacingOccurrences(of: "\\\n", with: " ")
        let last = joined.components(separatedBy: "\nFROM ").last ?? ""
        var packages: Set<String> = []
        for line in last.split(separator: "\n") where line.hasPrefix("RUN ") {
            for command in line.components(separatedBy: "&&") where command.contains("apt-get install") {
                let words = command.split(separator: " ").drop { $0 != "install" }.dropFirst()
                packages.formUnion(words.filter { !$0.hasPrefix("-") }.map(String.init))
            }
        }
        return packages
    }

    /// The libraries in the output of `ldd`, by their paths; those of the Swift toolchain are left out.
    static func libraries(_ output: String) -> (found: [String], missing: [String]) {
        var found: [String] = []
        var missing: [String] = []
        for line in output.split(separator: "\n") {
            let words = line.split { " \t".contains($0) }
            guard words.count > 2, words[1] == "=>" else { continue }
            let path = String(words[2])
            if path == "not" {
                missing.append(String(words[0]))
            } else if !path.contains("/swift/") && !path.contains("/.build/") {
                found.append(path)
            }
        }
        return (found, missing)
    }

    /// What must be said about a list of installed packages, given what the program loads.
    ///
    /// - `direct`: the packages of the libraries that the program itself names.
    /// - `all`: those of every library that ends up in the process.
    /// - `closure`: the installed packages and all that they depend upon.
    static func compare(installed: Set<String>, direct: Set<String>, all: Set<String>, closure: Set<String>)
        -> [Violation]
    {
        func violation(_ message: String) -> Violation { Violation(path: "Dockerfile", line: 0, message: message) }
        let undeclared = direct.subtracting(installed).subtracting(always).sorted()
            .map { violation("does not install \($0), which the program names") }
        let unreachable = all.subtracting(direct).subtracting(closure).subtracting(always).sorted()
            .map { violation("does not install \($0), which the program loads") }
        let superfluous = installed.subtracting(companions).subtracting(all).sorted()
            .map { violation("installs \($0), which the program does not load") }
        let forgotten = companions.subtracting(installed).sorted().map { violation("does not install \($0)") }
        return undeclared + unreachable + superfluous + forgotten
    }

    /// The Debian package that owns a library; nil when none does.
    ///
    /// Debian 12 has merged /lib into /usr/lib, while dpkg still knows some files by the old path.
    static func package(of library: String) throws -> String? {
        for path in [library, library.hasPrefix("/usr") ? String(library.dropFirst(4)) : "/usr" + library] {
            let answer = try run(["dpkg-query", "--search", path])
            guard answer.status == 0 else { continue }
            return answer.output.split(whereSeparator: { ":,".contains($0) }).first.map(String.init)
        }
        return nil
    }

    /// `packages` and all that they depend upon, as installed here.
    static func closure(of packages: Set<String>) throws -> Set<String> {
        var closed: Set<String> = []
        var open = packages
        while !open.isEmpty {
            closed.formUnion(open)
            let answer = try run(
                ["dpkg-query", "--show", "--showformat", "${Depends}, ${Pre-Depends}\n"] + open.sorted())
            let names = answer.output.split { ",|\n".contains($0) }
                .compactMap { $0.split { " (:".contains($0) }.first.map(String.init) }
            open = Set(names).subtracting(closed).filter { !$0.hasPrefix("dpkg-query") }
        }
        return closed
    }
}
