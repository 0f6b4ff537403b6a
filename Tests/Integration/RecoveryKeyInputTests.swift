// Recovery keys as they are typed, scanned and proven.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A recovery key", .waiting)
struct RecoveryKeyInputTests {
    @Test("opens the repository wherever a password may stand, in lines or in one")
    func everywhere() throws {
        let scene = try KitScene()
        let lines = KitScene.lines(try scene.page())
        var bare = scene.bare
        let file = try bare.file("key", lines.joined(separator: "\n"))
        let one = try bare.file("one", lines.joined().replacingOccurrences(of: " ", with: "").lowercased() + "\n")
        for (name, value) in [
            ("HOLDFAST_PASSWORD_FILE", file), ("HOLDFAST_PASSWORD_FILE", one), ("HOLDFAST_KEY_FILE", file),
            ("HOLDFAST_KEY_FILE", one), ("HOLDFAST_PASSWORD_COMMAND", "cat \(file)"),
            ("HOLDFAST_PASSWORD", lines.joined(separator: "-")),
        ] {
            bare.variables = scene.run.variables
            bare.variables[name] = value
            let opened = try bare("snapshots")
            #expect(opened.status == 0, "\(name): \(opened.errors)")
        }
        bare.variables = scene.run.variables
        bare.variables["KIT"] = lines.joined(separator: "\n")
        for opening in ["password: 'env:KIT'", "password: 'file:key'", "keyFile: 'file:key'"] {
            bare.variables["HOLDFAST_REPO"] = nil
            bare.variables["HOLDFAST_CONFIG"] = try bare.file(
                "holdfast.yaml", "repositories: {main: {location: '\(scene.run.repositoryPath)', \(opening)}}\n")
            let opened = try bare("snapshots", naming: false)
            #expect(opened.status == 0, "\(opening): \(opened.errors)")
        }
        // It reads, and does no more.
        bare.variables = scene.run.variables
        bare.variables["HOLDFAST_KEY_FILE"] = file
        #expect(try bare("restore", "latest", "--to", "dir:out").status == 0)
        #expect(try bare("backup", "dir:out").status == 12)
        #expect(try bare("forget", "--keep-last", "1").status == 12)
    }

    @Test("with a mistake is refused with the number of the line, wherever it stands")
    func mistyped() throws {
        let scene = try KitScene()
        var lines = KitScene.lines(try scene.page())
        let letter = try #require(lines[2].first)
        lines[2] = (letter == "7" ? "8" : "7") + lines[2].dropFirst()
        var bare = scene.bare
        let file = try bare.file("key", lines.joined(separator: "\n"))
        for (name, value) in [
            ("HOLDFAST_PASSWORD_FILE", file), ("HOLDFAST_KEY_FILE", file), ("HOLDFAST_PASSWORD", lines.joined()),
            ("HOLDFAST_PASSWORD_COMMAND", "cat \(file)"),
        ] {
            bare.variables = scene.run.variables
            bare.variables[name] = value
            let refused = try bare("snapshots", "--json")
            #expect(
                refused.status == 12 && refused.output.contains("line 3 of the recovery key has a mistake"), "\(name)")
        }
        bare.variables = scene.run.variables
        let refused = try bare("recovery-kit", "verify", file)
        #expect(refused.status == 12 && refused.errors.contains("line 3 of the recovery key has a mistake"))
        let other = try bare("recovery-kit", "verify", try bare.file("none", "hunter2\n"))
        #expect(other.status == 12 && other.errors.contains("not a recovery key"), "\(other.errors)")
    }

    @Test("is typed line by line on a terminal, unseen, and a line with a mistake is asked for again")
    func terminal() throws {
        let scene = try KitScene()
        let lines = KitScene.lines(try scene.page())
        func start(_ arguments: String...) throws -> PseudoTerminal {
            try PseudoTerminal(
                [ProductBinary.path] + arguments,
                environment: [
                    "HOLDFAST_REPO": scene.run.repositoryPath, "HOME": scene.bare.directory.path, "TERM": "dumb",
                ])
        }
        let verify = try start("recovery-kit", "verify")
        #expect(verify.waits(for: "line 1 of the recovery key: "))
        verify.type("1: \(lines[0].lowercased())\n")
        #expect(verify.waits(for: "line 2 of the recovery key: "))
        #expect(!lines.contains { verify.shown.contains($0) })
        verify.clear()
        verify.type(lines[2] + "\n")
        #expect(verify.waits(for: "line 2 has a mistake; type it again"))
        // What is typed before the question is asked again is dropped, so that nothing of it shows.
        #expect(verify.waits(for: "line 2 of the recovery key: "))
        verify.type(lines[1] + "\n")
        #expect(verify.waits(for: "line 3 of the recovery key: "))
        verify.type(lines[2] + "\n")
        #expect(verify.waits(for: "line 4 of the recovery key: "))
        verify.type(lines[3] + "\n")
        #expect(verify.finish() == 0, "\(verify.shown)")
        #expect(!lines.contains { verify.shown.contains($0) })
        // Where a password is asked for, the first line is known for what it is.
        let snapshots = try start("snapshots")
        #expect(snapshots.waits(for: "password of the repository: "))
        snapshots.type(lines[0] + "\n")
        for line in 2...4 {
            #expect(snapshots.waits(for: "line \(line) of the recovery key: "))
            snapshots.type(lines[line - 1] + "\n")
        }
        #expect(snapshots.finish() == 0, "\(snapshots.shown)")
    }

    @Test("proves which slot it is, what it may do, and that data can be read with it alone")
    func proof() throws {
        let scene = try KitScene()
        let page = try scene.page()
        var bare = scene.bare
        let key = try bare.file("key", KitScene.lines(page).joined(separator: "\n"))
        // A password that is wrong is not looked at.
        bare.password = "wrong"
        let proof = try bare("recovery-kit", "verify", key, "--json")
        #expect(proof.status == 0, "\(proof.errors)")
        let report = try proof.json()
        #expect(report["kit"] as? String == KitScene.number(page))
        #expect(report["role"] as? String == "restorer")
        #expect(report["source"] as? String == "site")
        #expect((report["bytesRead"] as? Int ?? 0) > 0)
        #expect((report["warnings"] as? [String]) == [])
        let spoken = try bare("recovery-kit", "verify", key)
        #expect(spoken.output.contains("recovery kit \(KitScene.number(page)) opens repository"))
        // The data is read: without its packs there is no proof.
        let packs = scene.run.repositoryPath + "/packs"
        try FileManager.default.moveItem(atPath: packs, toPath: packs + "-away")
        try FileManager.default.createDirectory(atPath: packs, withIntermediateDirectories: false)
        #expect(try bare("recovery-kit", "verify", key).status == 1)
    }

    @Test("of an empty repository opens it, with a warning that no data was read")
    func empty() throws {
        let run = ProgramRun()
        #expect(try run("init").status == 0)
        #expect(try run("recovery-kit", "--text", run.directory.path + "/kit.txt").status == 0)
        let page = try String(contentsOfFile: run.directory.path + "/kit.txt", encoding: .utf8)
        let key = try run.file("key", KitScene.lines(page).joined(separator: "\n"))
        let proof = try run("recovery-kit", "verify", key)
        #expect(proof.status == 0 && proof.errors.contains("there is no snapshot yet"), "\(proof.errors)")
    }

    @Test("of another repository, of a removed slot, or of one with a new key proves nothing, and is told why")
    func failures() throws {
        let scene = try KitScene()
        #expect(try scene.run("mirror", "--to", scene.path("stale")).status == 0)
        let page = try scene.page()
        let number = KitScene.number(page)
        let key = try scene.run.file("key", KitScene.lines(page).joined(separator: "\n"))
        let other = try KitScene()
        let foreign = try other.bare("recovery-kit", "verify", key)
        #expect(foreign.status == 12 && foreign.errors.contains("is another repository"), "\(foreign.errors)")
        let stale = try scene.bare("--repo", scene.path("stale"), "recovery-kit", "verify", key)
        #expect(stale.status == 12 && stale.errors.contains("was mirrored last before the kit"), "\(stale.errors)")
        #expect(try other.bare("--repo", "/nonexistent", "recovery-kit", "verify", key).status == 10)
        // The slot is still there, with another key.
        var holder = scene.run
        holder.password = nil
        holder.variables["HOLDFAST_KEY_FILE"] = key
        let fresh = scene.path("fresh.key")
        #expect(try holder("keys", "rotate", "--password", "--new-key-file", fresh).status == 0)
        let changed = try scene.bare("recovery-kit", "verify", key)
        #expect(changed.status == 12 && changed.errors.contains("was given another key"), "\(changed.errors)")
        #expect(changed.errors.contains(number))
        let slots = try #require(try scene.run("keys", "list", "--json").json()["keys"] as? [[String: Any]])
        let slot = try #require(slots.first { ($0["label"] as? String)?.hasSuffix(number) == true }?["slot"] as? String)
        #expect(try scene.run("keys", "remove", slot).status == 0)
        let removed = try scene.bare("recovery-kit", "verify", key)
        #expect(
            removed.status == 12 && removed.errors.contains("recovery kit \(number) was removed"), "\(removed.errors)")
    }

    @Test("still opens after keys were rotated, and reads what was written since")
    func rotated() throws {
        let scene = try KitScene()
        let page = try scene.page("--role", "admin", "--label", "safe")
        #expect(page.contains("delete every backup"))
        #expect(try scene.run("keys", "rotate").status == 0)
        try Data("new\n".utf8).write(to: URL(fileURLWithPath: scene.site + "/new"))
        #expect(try scene.run("backup", "dir:\(scene.site)", "--source", "site").status == 0)
        #expect(try scene.bare.verifies(page, scene))
        var bare = scene.bare
        bare.variables["HOLDFAST_PASSWORD_FILE"] = try bare.file("key", KitScene.lines(page).joined(separator: "\n"))
        // An admin's kit keeps the repository in use.
        #expect(try bare("keys", "list").output.contains("safe \(KitScene.number(page))"))
        #expect(try bare("backup", "dir:\(scene.site)", "--source", "site").status == 0)
    }

    private static let readers = ["/usr/bin/pdftoppm", "/usr/bin/pdftotext", "/usr/bin/zbarimg"]
    private static let canReadPaper = readers.allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }

    @Test(
        "is read from the picture of its page by a reader of QR codes, and opens the repository",
        .enabled(if: canReadPaper))
    func picture() throws {
        let scene = try KitScene()
        let pdf = scene.path("kit.pdf")
        let page = try scene.page("--output", pdf)
        // The first page holds the key: that is the one that is looked for in a safe.
        let drawn = try KitScene.bash(
            "pdftoppm -f 1 -l 1 -r 110 -gray -png \(pdf) \(scene.path("page"))", in: TemporaryDirectory(), input: "")
        #expect(drawn.status == 0, "\(drawn.errors)")
        let pictures = try FileManager.default.contentsOfDirectory(atPath: scene.run.directory.path)
            .filter { $0.hasSuffix(".png") }.map(scene.path)
        let directory = TemporaryDirectory()
        let result = try KitScene.bash(
            "zbarimg --nodbus --quiet --raw \(pictures.joined(separator: " ")) > scanned\n"
                + "export HOLDFAST_REPO=\(scene.run.repositoryPath)\n"
                + "holdfast recovery-kit verify - < scanned\n"
                + "HOLDFAST_PASSWORD_FILE=scanned holdfast restore latest:site --to dir:restored\n",
            in: directory, input: "")
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        try RecoveryKitTests.expectSame(scene.site, directory.path + "/restored")
        let scanned = try String(contentsOfFile: directory.path + "/scanned", encoding: .utf8)
        #expect(scanned == KitScene.lines(page).joined().replacingOccurrences(of: " ", with: "") + "\n")
        // The letters of the PDF, as a program that does not know them reads them.
        let text = try KitScene.bash("pdftotext -layout \(pdf) -", in: TemporaryDirectory(), input: "").output
        for line in KitScene.lines(page) { #expect(text.contains(line), "\(text)") }
    }

    @Test("has a page on which nothing leaves the paper, however long the names", .enabled(if: canReadPaper))
    func boundaries() throws {
        let scene = try KitScene(repository: String(repeating: "very-long-name", count: 17))
        for number in 1...12 {
            let key = try scene.run.file("\(number).password", "password \(number)\n")
            let added = try scene.run(
                "keys", "add", "--role", "restorer", "--label", String(repeating: "W\(number)Ж", count: 50),
                "--new-password-file", key)
            #expect(added.status == 0, "\(added.errors)")
        }
        let pdf = scene.path("kit.pdf")
        _ = try scene.page("--output", pdf, "--label", String(repeating: "M", count: 240))
        let boxes = try KitScene.bash("pdftotext -bbox \(pdf) -", in: TemporaryDirectory(), input: "").output
        var words = 0
        for line in boxes.split(separator: "\n") where line.contains("<word ") {
            let numbers = line.split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }
                .compactMap { Double($0.element) }
            try #require(numbers.count == 4, "\(line)")
            #expect(numbers[0] >= 45 && numbers[2] <= 551 && numbers[1] >= 40 && numbers[3] <= 815, "\(line)")
            words += 1
        }
        #expect(words > 100)
        #expect(boxes.components(separatedBy: "<page ").count > 2)
    }
}
