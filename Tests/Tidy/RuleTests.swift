// Shows each rule a snippet that breaks it and one that does not: a rule that cannot fail holds nothing.

import Testing

private func source(_ text: String, path: String = "Sources/Repository/Example.swift") -> SwiftSource {
    SwiftSource(path: path, text: text)
}

private let purpose = "// An example for a rule.\n"

@Suite("Scanning Swift")
struct SwiftSourceTests {
    private func code(_ text: String) -> String { String(decoding: source(text).code, as: UTF8.self) }

    @Test("strings and comments are no code")
    func blanks() {
        #expect(code("a // try!\nb") == "a        \nb")
        #expect(code("a /* try! /* as! */ x */ b") == "a                        b")
        #expect(code("f(\"try! \\\" as!\") b") == "f(\"           \") b")
        #expect(code("f(#\"a\" try!\"#) b") == "f( \"       \" ) b")
        #expect(code("f(\"\"\"\n  try! \" as!\n  \"\"\") b") == "f(\"  \n            \n  \"  ) b")
    }

    @Test("what is interpolated is code, however deep")
    func interpolation() {
        #expect(code("\"x \\(try! f(\"y\")) z\" b").contains("try! f(\" \")"))
        #expect(code("\"x \\(f(\"\\(as! g)\")) try!\" b").contains("as! g"))
        #expect(!code("\"x \\(f(1)) try!\" b").contains("try!"))
    }

    @Test("comments are found where they stand")
    func comments() {
        let example = source("let a = 1  // one\nlet b = \"// two\"\n")
        #expect(String(decoding: example.comments, as: UTF8.self).contains("// one"))
        #expect(!String(decoding: example.comments, as: UTF8.self).contains("two"))
        #expect(example.line(of: 0) == 1)
        #expect(example.line(of: example.text.count - 1) == 2)
        #expect(example.comments.count == example.text.count)
    }
}

@Suite("The rules for layers")
struct LayerRuleTests {
    private func manifest(_ targets: String) -> Manifest {
        Manifest(
            """
            let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
            func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
                .target(name: name, dependencies: dependencies)
            }
            let package = Package(dependencies: [.package(url: "https://example.com/apple/swift-log", from: "1.0.0")],
                targets: [.systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
                    \(targets)
            ])
            """)
    }

    @Test("a manifest is read with its products, packages and libraries")
    func reading() throws {
        let manifest = manifest(
            """
            library("Repository", ["Primitives", logging]),
            .executableTarget(name: "holdfast", dependencies: ["Commands", .product(name: "X", package: "y")]),
            tests("RepositoryTests", ["Repository", "TestSupport"], exclude: ["Fixtures"]),
            """)
        #expect(manifest.targets.map(\.name).sorted() == ["CZlib", "Repository", "RepositoryTests", "holdfast"])
        #expect(manifest.packages == ["swift-log"])
        #expect(manifest.debianPackages == ["zlib1g-dev"])
        let repository = try #require(manifest.targets.first { $0.name == "Repository" })
        #expect(repository.dependencies == ["Primitives", "Logging"])
        let program = try #require(manifest.targets.first { $0.name == "holdfast" })
        #expect(program.dependencies == ["Commands", "X"])
        let tests = try #require(manifest.targets.first { $0.name == "RepositoryTests" })
        #expect(tests.isTest && tests.dependencies == ["Repository", "TestSupport"])
    }

    @Test("a manifest may not declare what the table forbids")
    func declarations() {
        #expect(Layers.check(manifest("library(\"Repository\", [\"Primitives\", logging])")).isEmpty)
        #expect(Layers.check(manifest("library(\"Repository\", [\"Commands\"])")).count == 1)
        #expect(Layers.check(manifest("library(\"Sealing\", [logging])")).count == 1)
        #expect(Layers.check(manifest("library(\"Commands\", [\"TestSupport\"])")).count == 1)
        #expect(Layers.check(manifest("library(\"Elsewhere\", [])")).count == 1)
    }

    @Test(
        "a source may not import what the table or the manifest forbids",
        arguments: [
            ("import Primitives", 0), ("import Glibc", 0), ("package import Logging", 0), ("// import Recovery", 0),
            ("import Recovery", 1), ("@testable import Recovery", 1), ("import struct Recovery.Plan", 1),
            ("import TestSupport", 1), ("import Testing", 1), ("import Sealing", 1), ("import CZlib", 1),
        ])
    func imports(line: String, count: Int) {
        let manifest = manifest("library(\"Repository\", [\"Primitives\", logging])")
        #expect(Layers.check(source(purpose + line), manifest).count == count)
    }

    @Test("what ships never imports what does not, whatever the manifest declares")
    func neverShipped() {
        let manifest = manifest(
            """
            library("Repository", ["TestSupport"]),
            .executableTarget(name: "Benchmarks", dependencies: ["TestSupport"]),
            """)
        #expect(Layers.check(manifest).map(\.message) == ["Repository may not depend on TestSupport"])
        let line = purpose + "import TestSupport"
        #expect(Layers.check(source(line), manifest).map(\.message) == ["TestSupport does not ship"])
        #expect(Layers.check(source(line, path: "Sources/Benchmarks/A.swift"), manifest).isEmpty)
    }

    @Test("a source outside every target is reported")
    func stray() {
        #expect(Layers.check(source(purpose, path: "Sources/Stray/A.swift"), manifest("")).count == 1)
    }
}

@Suite("The rules for what is banned")
struct BanRuleTests {
    @Test(
        "what is banned is found",
        arguments: [
            "print(1)", "let now = Date()", "Int.random(in: 0..<9)", "list.randomElement()", "list.shuffled()",
            "var g = SystemRandomNumberGenerator()", "arc4random()", "clock_gettime(0, nil)", "try! f()",
            "x as! Int", "fatalError()", "Task.detached { }", "Thread.sleep(1)", "usleep(1)", "// TO" + "DO: later",
            "let a = 1  // FIX" + "ME", "/* X" + "XX */", "\"\\(try! f())\"",
        ])
    func found(line: String) {
        #expect(Ban.check(source(line)).count == 1, "\(line)")
    }

    @Test(
        "what only looks like it is left alone",
        arguments: [
            "printer.print(1)", "fingerprint(1)", "// print(1)", "\"try! f()\"", "try f()", "x as? Int",
            "Int.random(in: 0..<9, using: &generator)", "entropy.randomBytes()", "let s = \"TO" + "DO\"",
        ])
    func harmless(line: String) {
        #expect(Ban.check(source(line)).isEmpty, "\(line)")
    }

    @Test("exceptions hold in their targets only")
    func exceptions() {
        #expect(Ban.check(source("print(1)", path: "Sources/Commands/A.swift")).isEmpty)
        #expect(Ban.check(source("clock_gettime(0, nil)", path: "Sources/Primitives/A.swift")).isEmpty)
        #expect(Ban.check(source("print(1)", path: "Tests/RepositoryTests/A.swift")).isEmpty)
        #expect(Ban.check(source("try! f()", path: "Tests/RepositoryTests/A.swift")).count == 1)
    }
}

@Suite("The rules for size and shape")
struct ShapeRuleTests {
    private func messages(_ text: String) -> [String] { Shape.check(source(text)).map(\.message) }

    private func lines(_ count: Int) -> String { String(repeating: "    work()\n", count: count) }

    @Test("a file over the limit is reported, one at the limit is not")
    func fileLength() {
        #expect(messages(purpose + lines(499)).isEmpty)
        #expect(messages(purpose + lines(500)).count == 1)
    }

    @Test("a line over the limit is reported, one at the limit is not")
    func lineLength() {
        #expect(messages(purpose + String(repeating: "x", count: 120)).isEmpty)
        #expect(messages(purpose + String(repeating: "x", count: 121)).count == 1)
    }

    @Test(
        "a file begins with its purpose", arguments: ["import Glibc\n", "\n", "", "// placeholder\n", "/// A doc.\n"])
    func purposeComment(text: String) {
        #expect(messages(text).count == 1)
    }

    @Test(
        "a long body is reported whatever it belongs to",
        arguments: [
            "func f(_ g: () -> Void = { }) throws(E) -> [Int] where T: P {\n", "init?(a: Int) {\n", "deinit {\n",
            "subscript(i: Int) -> Int {\n", "var x: Int {\n", "func f() -> String {\n    let brace = \"}\"  // }\n",
        ])
    func functionLength(head: String) {
        let extra = head.split(separator: "\n").count - 1
        #expect(messages(purpose + head + lines(68 - extra) + "}\n").isEmpty, "\(head)")
        #expect(messages(purpose + head + lines(69 - extra) + "}\n").count == 1, "\(head)")
    }

    @Test("requirements of a protocol and stored properties have no body")
    func noBody() {
        let text = purpose + "protocol P {\n    func f() throws(E) -> Int\n    func g()\n}\nvar x = 1\n" + lines(90)
        #expect(Shape.functions(in: source(text)).isEmpty)
    }

    @Test("a seam has a doc comment and under ten requirements")
    func protocols() {
        func seam(_ count: Int) -> String {
            "package protocol P {\n" + String(repeating: "    func f()\n", count: count) + "}\n"
        }
        #expect(messages(purpose + "\n/// A seam.\n" + seam(9)).isEmpty)
        #expect(messages(purpose + "\n/// A seam.\n" + seam(10)).count == 1)
        #expect(messages(purpose + "\n" + seam(1)).count == 1)
    }
}
