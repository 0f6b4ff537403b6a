// Runs the commands of README.md, the guide, and the pages on databases, drills, schedules and operations as they stand
// there, with the built program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

/// The commands of one document.
///
/// Run are all lines of fenced blocks of the language sh, and those after `$ ` in blocks of the language console. What
/// ends in a backslash goes on in the next line. `# exits N` at a command's end says that N is the right status.
struct DocumentedCommands {
    struct Command: Equatable {
        let line: Int
        let text: String
        let status: Int32
    }

    let commands: [Command]
    /// The languages of all blocks.
    let languages: Set<String>

    init(_ document: String) {
        var commands: [Command] = []
        var languages: Set<String> = []
        var language: String?
        var pending: (line: Int, text: String)?
        for (index, line) in document.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") {
                language = language == nil ? String(line.dropFirst(3)) : nil
                if let language { languages.insert(language) }
                continue
            }
            guard let text = Self.command(in: line, language, isContinued: pending != nil) else { continue }
            let whole = (pending.map { $0.text + "\n" } ?? "") + text
            let first = pending?.line ?? index + 1
            pending = text.hasSuffix("\\") ? (first, whole) : nil
            if pending == nil { commands.append(Command(line: first, text: whole, status: Self.status(of: whole))) }
        }
        self.commands = commands
        self.languages = languages
    }

    private static func command(in line: Substring, _ language: String?, isContinued: Bool) -> String? {
        if language == "sh" || (language == "console" && isContinued) {
            return line.allSatisfy(\.isWhitespace) || line.hasPrefix("#") ? nil : String(line)
        }
        return language == "console" && line.hasPrefix("$ ") ? String(line.dropFirst(2)) : nil
    }

    private static func status(of command: String) -> Int32 {
        guard let mark = command.range(of: "# exits ", options: .backwards) else { return 0 }
        return Int32(command[mark.upperBound...].prefix(while: \.isNumber)) ?? 0
    }

    /// One script that stops at the first command whose status is not the one that is due.
    func script(name: String) -> String {
        commands.map { command in
            """
            \(command.text)
            documented=$?
            if ((documented != \(command.status))); then
                echo "\(name):\(command.line): exit status $documented where \(command.status) is due" >&2
                exit 1
            fi
            """
        }.joined(separator: "\n") + "\n"
    }
}

@Suite("What the documents tell to type works", .waiting)
struct DocumentedCommandsTests {
    @Test(
        "every command of the document does what the document says",
        arguments: [
            "README.md", "docs/guide.md", "docs/DRILLS.md", "docs/SCHEDULING.md", "docs/operations/INCIDENT_RESTORE.md",
            "docs/operations/DISASTER_RECOVERY_PLAN.md", "docs/VAULTS.md", "docs/AUDIT.md",
            "docs/COMPLIANCE.md",
        ])
    func documented(name: String) throws {
        let result = try run(try script(of: name))
        #expect(result.status == 0, "\(result.output.suffix(4096))")
    }

    @Test(
        "so does every command about databases, with a cluster to try them on", .enabled(if: PostgresServer.isInstalled)
    )
    func databases() throws {
        let directory = TemporaryDirectory()
        let server = try DocumentedServer(in: directory.path)
        let result = try withExtendedLifetime(server) {
            try run(try script(of: "docs/DATABASES.md"), in: directory, server.environment)
        }
        #expect(result.status == 0, "\(result.output.suffix(4096))")
    }

    private func script(of name: String) throws -> String {
        let commands = DocumentedCommands(try text(of: name))
        #expect(commands.commands.count > 10, "\(name) tells next to nothing to type")
        #expect(commands.languages.isSubset(of: ["sh", "console", "text"]), "use text for what is not to be run")
        return commands.script(name: name)
    }

    @Test("the first command with another status than the documented one stops the run and is named")
    func status() throws {
        let document = """
            ```sh
            true
            false   # exits 1
            echo one \\
                two
            # A remark.
            (exit 3)
            echo not reached
            ```
            """
        let result = try run(DocumentedCommands(document).script(name: "doc"))
        #expect(result.status == 1)
        #expect(result.output == "one two\ndoc:7: exit status 3 where 0 is due\n")
    }

    @Test("in a console block only what follows the prompt is run, and nothing of a text block")
    func console() {
        let document = "```console\n$ a \\\n  b\nprinted\n$ c # exits 3\n```\n```text\nd\n```\ne\n"
        let found = DocumentedCommands(document)
        #expect(
            found.commands == [
                .init(line: 2, text: "a \\\n  b", status: 0), .init(line: 5, text: "c # exits 3", status: 3),
            ])
        #expect(found.languages == ["console", "text"])
    }

    private func text(of document: String) throws -> String {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return try String(contentsOf: root.appendingPathComponent(document), encoding: .utf8)
    }

    /// Runs a script in an empty home with the built program first on PATH; output and errors come as one text.
    ///
    /// - Parameter environment: Besides HOME and PATH; what it says of PATH comes after the program's directory.
    private func run(
        _ script: String, in directory: TemporaryDirectory = TemporaryDirectory(), _ environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String) {
        let home = directory.path + "/home"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        // A file, so that a command of the script cannot read the rest of it.
        let file = directory.path + "/script"
        try Data(script.utf8).write(to: URL(fileURLWithPath: file))
        let log = directory.path + "/log"
        try Data().write(to: URL(fileURLWithPath: log))
        let output = try FileHandle(forUpdating: URL(fileURLWithPath: log))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-o", "pipefail", file]
        let path = environment["PATH"] ?? ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        process.environment = environment.merging(["PATH": ProductBinary.directory + ":" + path, "HOME": home]) { $1 }
        process.currentDirectoryURL = URL(fileURLWithPath: home)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        try output.seek(toOffset: 0)
        return (process.terminationStatus, String(decoding: try output.readToEnd() ?? Data(), as: UTF8.self))
    }
}

/// The cluster that the document's commands find by libpq's variables.
private final class DocumentedServer {
    let environment: [String: String]
    private let server: PostgresServer
    private let home: String

    init(in place: String) throws {
        server = PostgresServer(in: place)
        home = place + "/home"
        try server.make("-k")
        let rules = "local all postgres trust\n"
        try rules.write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        // In the file and not in the arguments, since the document starts servers itself.
        try server.setting("listen_addresses = ''\nunix_socket_directories = '\(server.sockets)'\nfsync = off")
        try server.start()
        let programs = place + "/programs"
        try FileManager.default.createDirectory(atPath: programs, withIntermediateDirectories: true)
        // A server does not run as root. What it would inherit is closed: Foundation waits for all who hold its socket.
        let words = PostgresServer.wrapper + ["\(PostgresServer.binaries)/pg_ctl", "\"$@\""]
        let script = """
            #!/bin/bash
            for name in /proc/self/fd/*; do
                if ((${name##*/} > 2 && ${name##*/} != 255)); then eval "exec ${name##*/}>&-"; fi
            done
            exec \(words.joined(separator: " ")) 255>&-

            """
        try script.write(toFile: programs + "/pg_ctl", atomically: false, encoding: .utf8)
        chmod(programs + "/pg_ctl", 0o755)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        environment = [
            "PATH": programs + ":" + PostgresServer.binaries + ":" + path, "PGHOST": server.sockets,
            "PGUSER": "postgres",
            "PGDATA": server.data,
        ]
    }

    /// Ends what the document started and, after a failure, did not stop.
    deinit {
        for data in [server.data, home + "/restored"] {
            _ = try? PostgresServer.run(
                ["\(PostgresServer.binaries)/pg_ctl", "-D", data, "-m", "immediate", "-s", "stop"], in: home)
        }
        server.stop(SIGQUIT)
    }
}
