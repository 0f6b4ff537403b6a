// Reads targets and their dependencies out of the text of Package.swift.

/// What the tidy tests need to know of a package manifest.
///
/// The manifest is read as text, since asking the package manager would wait for the build that runs the tests.
struct Manifest {
    struct Target {
        var name: String
        var isTest: Bool
        var dependencies: Set<String>
        var line: Int
    }

    private(set) var targets: [Target] = []
    /// The last part of each package's address.
    private(set) var packages: [String] = []
    /// The Debian packages that system libraries name.
    private(set) var debianPackages: [String] = []

    private let source: SwiftSource

    init(_ text: String) {
        source = SwiftSource(path: "Package.swift", text: text)
        let products = productNames()
        for (maker, isTest) in Self.makers {
            for start in occurrences(of: maker, in: source.code) where !isDeclaration(start) {
                let call = arguments(at: start + maker.utf8.count - 1)
                guard let name = strings(in: call).first else { continue }
                targets.append(
                    Target(
                        name: name, isTest: isTest,
                        dependencies: maker == ".systemLibrary(" ? [] : dependencies(in: call, products),
                        line: source.line(of: start)))
            }
        }
        for start in occurrences(of: ".package(", in: source.code) {
            guard let url = strings(in: arguments(at: start + 8)).first else { continue }
            packages.append(String(url.split(separator: "/").last ?? ""))
        }
        for start in occurrences(of: ".apt(", in: source.code) {
            debianPackages += strings(in: arguments(at: start + 4))
        }
    }

    private static let makers = [
        (".systemLibrary(", false), (".target(", false), (".executableTarget(", false), (".testTarget(", true),
        ("library(", false), ("tests(", true),
    ]

    /// `let logging = Target.Dependency.product(name: "Logging", …)` makes `logging` stand for `Logging`.
    private func productNames() -> [String: String] {
        var names: [String: String] = [:]
        for start in occurrences(of: "Target.Dependency.product(", in: source.code) {
            let before = source.code[..<start].split { !$0.isWord }
            guard let name = before.last, let product = strings(in: arguments(at: start + 25)).first else { continue }
            names[String(decoding: name, as: UTF8.self)] = product
        }
        return names
    }

    /// Whether the name at `start` is being declared, or is the end of another name such as `.library(`.
    private func isDeclaration(_ start: Int) -> Bool {
        if source.code[start] != UInt8(ascii: ".") && start > 0 && source.code[start - 1] == UInt8(ascii: ".") {
            return true
        }
        // Inside `func library(…) { .target(name: name, …) }` the name is no literal, and the call has no string.
        let words = source.code[..<start].split { !$0.isWord }
        return words.last.map { String(decoding: $0, as: UTF8.self) == "func" } ?? false
    }

    /// The strings and names in the first array of a call, or in the one labelled `dependencies`.
    private func dependencies(in call: Range<Int>, _ products: [String: String]) -> Set<String> {
        let label = occurrences(of: "dependencies:", in: Array(source.code[call])).first ?? 0
        guard let open = source.code[(call.lowerBound + label)..<call.upperBound].firstIndex(of: UInt8(ascii: "["))
        else { return [] }
        let array = arguments(at: open)
        var found: Set<String> = []
        var index = array.lowerBound
        while index < array.upperBound {
            if source.code[index] == UInt8(ascii: "(") {
                let inner = arguments(at: index)
                if let name = strings(in: inner).first { found.insert(name) }
                index = inner.upperBound + 1
            } else if source.code[index].isWord {
                let end = source.code[index...].firstIndex { !$0.isWord } ?? array.upperBound
                if let product = products[String(decoding: source.code[index..<end], as: UTF8.self)] {
                    found.insert(product)
                }
                index = end
            } else if source.code[index] == quote {
                let end = closingQuote(after: index)
                found.insert(String(decoding: source.text[(index + 1)..<end], as: UTF8.self))
                index = end + 1
            } else {
                index += 1
            }
        }
        return found
    }

    /// What stands between the bracket at `open` and the one that closes it.
    private func arguments(at open: Int) -> Range<Int> {
        let end = source.closingBracket(of: open)
        return (open + 1)..<max(open + 1, end)
    }

    private func strings(in range: Range<Int>) -> [String] {
        var found: [String] = []
        var index = range.lowerBound
        while index < range.upperBound {
            if source.code[index] == quote {
                let end = closingQuote(after: index)
                found.append(String(decoding: source.text[(index + 1)..<end], as: UTF8.self))
                index = end
            }
            index += 1
        }
        return found
    }

    private func closingQuote(after index: Int) -> Int {
        source.code[(index + 1)...].firstIndex(of: quote) ?? source.code.count
    }

    private var quote: UInt8 { UInt8(ascii: "\"") }
}

extension SwiftSource {
    /// The offset of the bracket that closes the one at `open`, or the end of the file.
    func closingBracket(of open: Int) -> Int {
        var depth = 0
        for index in open..<code.count {
            switch code[index] {
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
        }
        return code.count
    }
}
