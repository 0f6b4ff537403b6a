// Holds the tree to the house rules.

import Foundation
import TestSupport
import Testing

@Suite("The tree is tidy")
struct TidyTests {
    private let manifest = Manifest(Project.text("Package.swift"))

    @Test("every layer imports only what stands above it")
    func layers() {
        #expect(manifest.targets.count > 20)
        let violations = Layers.check(manifest) + Project.sources.flatMap { Layers.check($0, manifest) }
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("no source says what is banned")
    func bans() {
        #expect(Project.sources.count > 30)
        let violations = Project.sources.flatMap(Ban.check)
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("files, functions, lines and protocols keep to their limits")
    func shape() {
        let violations = Project.sources.flatMap(Shape.check)
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("what a build leaves behind is not tracked", .enabled(if: Project.exists(".git")))
    func tracked() throws {
        let tracked = try run(["git", "ls-files"])
        #expect(tracked.status == 0, "\(tracked.output)")
        let wrong = tracked.output.split(separator: "\n").filter { $0 == "Package.resolved" || $0.hasPrefix(".build") }
        #expect(wrong.isEmpty, "\(wrong)")
    }

    @Test("no file names a path of the machine that it was written on")
    func paths() {
        let violations = Project.files.flatMap { Documents.checkPaths($0, Project.text($0)) }
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("shell scripts pass shellcheck")
    func shell() throws {
        let scripts = Project.files.filter { !$0.hasSuffix(".swift") && Documents.isShellScript(Project.text($0)) }
        #expect(scripts.contains("scripts/setup"))
        let result = try run(["shellcheck"] + scripts)
        #expect(result.status == 0, "\(result.output)")
    }

    @Test("swift format has nothing to say")
    func format() throws {
        let result = try run(
            ["swift", "format", "lint", "--strict", "--recursive", "Sources", "Tests", "Package.swift"])
        #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
    }

    @Test("every dependency is accounted for in docs/dependencies.md")
    func dependencies() {
        let violations = Documents.checkDependencies(
            manifest, setup: Project.text("scripts/setup"), document: Project.text("docs/dependencies.md"))
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("every error code has a section in docs/errors.md")
    func errors() {
        let table = Project.text("Sources/Primitives/ErrorCode.swift")
        #expect(Documents.errorCodes(table).count > 20)
        let violations = Documents.checkErrors(table: table, document: Project.text("docs/errors.md"))
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("relative links lead somewhere")
    func links() {
        let documents = Project.files.filter { $0.hasSuffix(".md") }
        #expect(!documents.isEmpty)
        let violations = documents.flatMap {
            Documents.checkLinks($0, Project.text($0), exists: Project.exists, read: Project.text)
        }
        #expect(violations.isEmpty, "\(report(violations))")
    }

    @Test("hadolint has nothing to say about the Dockerfile")
    func dockerfile() throws {
        let result = try run([Project.root + "/.build/tools/bin/hadolint", "Dockerfile"])
        #expect(result.status == 0, "run scripts/setup first if hadolint is missing: \(result.output)")
    }

    @Test("the run image installs the libraries that the program loads, and no others")
    func runImage() throws {
        let output = try run(["ldd", ProductBinary.path])
        #expect(output.status == 0, "\(output.output)")
        let libraries = RunImage.libraries(output.output)
        #expect(libraries.missing.isEmpty)
        let needed = try run(["readelf", "--dynamic", ProductBinary.path])
        #expect(needed.status == 0, "\(needed.output)")
        var direct: Set<String> = []
        var all: Set<String> = []
        for library in libraries.found {
            guard let package = try RunImage.package(of: library) else {
                Issue.record("no Debian package owns \(library)")
                continue
            }
            all.insert(package)
            let name = library.split(separator: "/").last ?? ""
            if needed.output.contains("[\(name)]") { direct.insert(package) }
        }
        let installed = RunImage.installed(Project.text("Dockerfile"))
        let violations = try RunImage.compare(
            installed: installed, direct: direct, all: all, closure: RunImage.closure(of: installed))
        #expect(violations.isEmpty, "\(report(violations))")
    }
}
