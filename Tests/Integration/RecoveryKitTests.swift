// Recovery kits, by the real program, and by other programs that read what it printed.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

/// A repository with something in it, a kit, and a machine that has neither configuration nor state.
struct KitScene {
    var run = ProgramRun()
    let site: String

    /// - Parameter repository: The name of its directory.
    init(source: String = "site", repository: String = "repository") throws {
        site = run.directory.path + "/site"
        run.variables["HOLDFAST_REPO"] = run.directory.path + "/" + repository
        try FileManager.default.createDirectory(atPath: site, withIntermediateDirectories: true)
        try Data("port: 8080\n".utf8).write(to: URL(fileURLWithPath: site + "/app.yaml"))
        try Data(String(repeating: "line\n", count: 4000).utf8).write(to: URL(fileURLWithPath: site + "/log"))
        try run.makeRepository()
        let backup = try run("backup", "dir:\(site)", "--source", source)
        #expect(backup.status == 0, "\(backup.errors)")
    }

    func path(_ name: String) -> String { run.directory.path + "/" + name }

    func read(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

    /// Makes a kit as text in the file `kit.txt`, and gives its page.
    func page(_ arguments: String...) throws -> String {
        let made = try run.start(["recovery-kit", "--text", path("kit.txt")] + arguments, naming: true).finish()
        #expect(made.status == 0, "\(made.errors)")
        return try read("kit.txt")
    }

    /// The four lines of the key on a page.
    static func lines(_ page: String) -> [String] {
        page.split(separator: "\n").filter { $0.hasPrefix("    ") && $0.dropFirst(5).hasPrefix(":  ") }
            .map { String($0.dropFirst(8)) }
    }

    /// The kit's number in the title.
    static func number(_ page: String) -> String { String(page.prefix { $0 != "\n" }.suffix(9)) }

    /// Another machine: it has the program, and no password.
    var bare: ProgramRun {
        var bare = ProgramRun()
        bare.password = nil
        bare.variables = run.variables
        return bare
    }

    /// Runs bash with nothing of this run but the program, `input` on standard input.
    static func bash(_ script: String, in directory: TemporaryDirectory, input: String) throws -> RunResult {
        let file = directory.path + "/script"
        let typed = directory.path + "/typed"
        try Data(script.utf8).write(to: URL(fileURLWithPath: file))
        try Data(input.utf8).write(to: URL(fileURLWithPath: typed))
        var run = ProgramRun()
        run.directory = directory
        run.password = nil
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-e", file]
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        process.environment = ["PATH": ProductBinary.directory + ":" + path, "HOME": directory.path]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: typed))
        let outputs = ["out", "err"].map { directory.path + "/" + $0 }
        for output in outputs { try Data().write(to: URL(fileURLWithPath: output)) }
        let handles = try outputs.map { try FileHandle(forUpdating: URL(fileURLWithPath: $0)) }
        process.standardOutput = handles[0]
        process.standardError = handles[1]
        try process.run()
        return try StartedProgram(process: process, output: handles[0], errors: handles[1]).finish()
    }
}

@Suite("recovery-kit", .waiting)
struct RecoveryKitTests {
    @Test("writes its page to a file of mode 0600 that was not there, and adds a slot for it alone")
    func make() throws {
        let scene = try KitScene()
        let pdf = scene.path("kit.pdf")
        let made = try scene.run("recovery-kit", "--output", pdf, "--text", scene.path("kit.txt"), "--json")
        #expect(made.status == 0, "\(made.errors)")
        for file in [pdf, scene.path("kit.txt")] {
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(file)")
        }
        let page = try scene.read("kit.txt")
        let report = try made.json()
        #expect(report["kit"] as? String == KitScene.number(page))
        #expect(report["role"] as? String == "restorer")
        // Nothing of the key is told but in the files.
        for line in KitScene.lines(page) {
            #expect(!made.output.contains(line.prefix(9)) && !made.errors.contains(line.prefix(9)))
        }
        #expect(KitScene.lines(page).count == 4)
        for text in [
            scene.run.repositoryPath, "Format       1,", "holdfast recovery-kit verify", "holdfast keys remove",
        ] {
            #expect(page.contains(text), "\(text)")
        }
        let before = try scene.run("keys", "list", "--json").output
        let slots = try #require(try scene.run("keys", "list", "--json").json()["keys"] as? [[String: Any]])
        #expect(slots.count == 2)
        #expect(slots.last?["label"] as? String == "recovery kit " + KitScene.number(page))
        // What is there is not replaced, and no slot is made for it.
        let again = try scene.run("recovery-kit", "--output", pdf)
        #expect(again.status == 64 && again.errors.contains("kit.pdf already"), "\(again.errors)")
        let half = try scene.run("recovery-kit", "--output", scene.path("new.pdf"), "--text", scene.path("kit.txt"))
        #expect(half.status == 64)
        #expect(!FileManager.default.fileExists(atPath: scene.path("new.pdf")))
        #expect(try scene.run("keys", "list", "--json").output == before)
    }

    @Test("puts no other secret on its page")
    func noOtherSecret() throws {
        var scene = try KitScene()
        scene.run.password = "integration"
        let raw = scene.path("raw.key")
        let password = try scene.run.file("other.password", "battery staple horse\n")
        #expect(try scene.run("keys", "add", "--role", "admin", "--label", "raw", "--new-key-file", raw).status == 0)
        #expect(
            try scene.run("keys", "add", "--role", "restorer", "--label", "p", "--new-password-file", password).status
                == 0)
        let made = try scene.run("recovery-kit", "--output", scene.path("kit.pdf"), "--text", scene.path("kit.txt"))
        #expect(made.status == 0, "\(made.errors)")
        let key = try Data(contentsOf: URL(fileURLWithPath: raw))
        let forms = [
            Data("integration".utf8), Data("battery".utf8), key,
            Data(key.map { String(format: "%02x", $0) }.joined().utf8),
            Data(key.base64EncodedString().dropLast(2).utf8),
        ]
        for file in ["kit.pdf", "kit.txt"] {
            let page = try Data(contentsOf: URL(fileURLWithPath: scene.path(file)))
            for form in forms { #expect(page.range(of: form) == nil, "\(file)") }
        }
    }

    @Test("refuses what would leave the key where nobody wants it, and whoever may not add keys")
    func refusals() throws {
        let scene = try KitScene()
        #expect(try scene.run("recovery-kit").status == 64)
        #expect(try scene.run("recovery-kit", "--text", "-", "--json").status == 64)
        #expect(try scene.run("recovery-kit", "--text", "-", "--role", "writer").status == 64)
        #expect(try scene.run("recovery-kit", "--output", "-", "--text", "-").status == 64)
        #expect(try scene.run("recovery-kit", "--text", scene.path("none/kit.txt")).status == 1)
        let key = scene.path("r.key")
        #expect(try scene.run("keys", "add", "--role", "restorer", "--label", "r", "--new-key-file", key).status == 0)
        var restorer = scene.run
        restorer.password = nil
        restorer.variables["HOLDFAST_KEY_FILE"] = key
        let denied = try restorer("recovery-kit", "--text", scene.path("denied.txt"))
        #expect(denied.status == 12, "\(denied.errors)")
        #expect(!FileManager.default.fileExists(atPath: scene.path("denied.txt")))
        #expect(try scene.run("keys", "list").output.split(separator: "\n").count == 3)
    }

    @Test("a page that cannot be written takes its slot away again")
    func full() throws {
        var scene = try KitScene()
        scene.run.wrapper = ["/bin/bash", "-c", "exec \"$@\" >/dev/full", "bash"]
        let failed = try scene.run("recovery-kit", "--text", "-")
        #expect(failed.status == 1, "\(failed.errors)")
        scene.run.wrapper = []
        let slots = try #require(try scene.run("keys", "list", "--json").json()["keys"] as? [[String: Any]])
        #expect(Set(slots.compactMap { $0["role"] as? String }) == ["admin", "revoked"])
    }

    @Test("has commands that, typed as they are written on a machine that has nothing, bring the data back")
    func commandsAsWritten() throws {
        let scene = try KitScene()
        let page = try scene.page()
        let directory = TemporaryDirectory()
        let result = try KitScene.bash(
            Self.script(page), in: directory, input: KitScene.lines(page).joined(separator: "\n") + "\n")
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        try Self.expectSame(scene.site, directory.path + "/recovered/1")
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/recovery.key"))
    }

    @Test("names mirrors of the configuration, and brings the data back from one when the place itself is gone")
    func mirrors() throws {
        var scene = try KitScene()
        #expect(try scene.run("mirror", "--to", scene.path("second")).status == 0)
        scene.run.variables["HOLDFAST_REPO"] = nil
        scene.run.variables["HOLDFAST_CONFIG"] = try scene.run.file(
            "holdfast.yaml",
            "repositories:\n  main: {location: repository, mirrors: [second]}\nsources:\n  site: {url: 'dir:site'}\n")
        let made = try scene.run("recovery-kit", "--text", scene.path("kit.txt"), naming: false)
        #expect(made.status == 0, "\(made.errors)")
        // The new slot comes to the mirror with the next run.
        #expect(try scene.run("mirror", naming: false).status == 0)
        try FileManager.default.removeItem(atPath: scene.path("repository"))
        let page = try scene.read("kit.txt")
        #expect(page.contains("Mirror       \(scene.path("second"))"))
        let named = try #require(page.split(separator: "\n").last { $0.hasPrefix("$ export HOLDFAST_REPO=") })
        #expect(named.contains("second"))
        let commands = try Self.script(page).split(separator: "\n").dropFirst()
        let directory = TemporaryDirectory()
        let result = try KitScene.bash(
            ([String(named.dropFirst(2))] + commands.map(String.init)).joined(separator: "\n"), in: directory,
            input: KitScene.lines(page).joined(separator: "\n").lowercased() + "\n")
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        try Self.expectSame(scene.site, directory.path + "/recovered/1")
    }

    @Test("keeps its commands right, and its page whole, whatever sources, labels and directories are called")
    func hostileNames() throws {
        let source = "it's \"quoted\" $(touch broken) `x` \\ Zürich 数据 \u{1B}[31m \u{202E}end"
        let scene = try KitScene(
            source: source, repository: "a b'c\u{7}数\n" + String(repeating: "long ", count: 45) + "end")
        let label = String(repeating: "Ж\u{1B}]0;x\u{7}", count: 24)
        let pdf = scene.path("kit.pdf")
        let page = try scene.page("--output", pdf, "--label", label)
        #expect(page.split(separator: "\n").allSatisfy { $0.count <= 80 })
        #expect(
            page.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value)) })
        let directory = TemporaryDirectory()
        let result = try KitScene.bash(
            try Self.script(page), in: directory, input: KitScene.lines(page).joined(separator: " ") + "\n")
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        try Self.expectSame(scene.site, directory.path + "/recovered/1")
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/broken"))
        #expect(try scene.bare.verifies(page, scene))
    }

    /// The commands that the page tells to type on a bare machine.
    static func script(_ page: String) throws -> String {
        let start = try #require(page.range(of: "To recover on a bare machine"))
        let end = try #require(page.range(of: "To verify", range: start.upperBound..<page.endIndex))
        let lines = page[start.upperBound..<end.lowerBound].split(separator: "\n")
        let mirrors = lines.firstIndex { $0.hasPrefix("When that place is gone") } ?? lines.endIndex
        return lines[..<mirrors].filter { $0.hasPrefix("$ ") || $0.hasPrefix("> ") }.map { $0.dropFirst(2) + "\n" }
            .joined()
    }

    static func expectSame(_ one: String, _ other: String) throws {
        let difference = try KitScene.bash("diff -r '\(one)' '\(other)'", in: TemporaryDirectory(), input: "")
        #expect(difference.status == 0, "\(difference.output) \(difference.errors)")
    }
}

extension ProgramRun {
    /// Whether the key of a page opens the repository from this machine.
    func verifies(_ page: String, _ scene: KitScene) throws -> Bool {
        let key = try file("typed.key", KitScene.lines(page).joined(separator: "\n"))
        return try self("recovery-kit", "verify", key).status == 0
    }

    /// The directory that HOLDFAST_REPO names.
    var repositoryPath: String { variables["HOLDFAST_REPO"] ?? repository }
}
