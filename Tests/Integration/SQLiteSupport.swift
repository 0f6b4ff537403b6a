// SQLite databases for the tests, made, written and read with SQLite's own programs.

import Foundation
import Glibc
import TestSupport
import Testing

extension ProgramRun {
    /// Runs the `sqlite3` shell on a database below the test's directory; what it prints.
    @discardableResult
    func sqlite(_ database: String, _ sql: String, status: Int32 = 0) throws -> String {
        let result = try shell("exec sqlite3 -batch -bail '\(database)'", input: sql)
        #expect(result.status == status, "\(sql): \(result.output)")
        return result.output
    }

    /// Runs a shell line in the test's directory, with output and errors as one text.
    func shell(_ line: String, input: String = "") throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let given = directory.path + "/input-\(UUID().uuidString)"
        try Data(input.utf8).write(to: URL(fileURLWithPath: given))
        defer { unlink(given) }
        process.arguments = ["-c", "{ \(line); } < '\(given)' 2>&1"]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    /// Starts a Python script with the `sqlite3` module, and waits until it prints its first line.
    func startPython(_ script: String) throws -> PythonWriter {
        let path = try file("writer-\(UUID().uuidString).py", script)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-u", path]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        let (output, input) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardInput = input
        try process.run()
        let writer = PythonWriter(
            process: process, output: output.fileHandleForReading, input: input.fileHandleForWriting)
        let first = writer.output.availableData
        #expect(!first.isEmpty, "the script ended before it was ready")
        return writer
    }

    /// The bytes of a directory's files by their names; -shm, which every reader marks, by its name only.
    func picture(_ name: String) throws -> [String: Data] {
        let place = directory.path + "/" + name
        var files: [String: Data] = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: place) {
            let isIndex = file.hasSuffix("-shm")
            files[file] = isIndex ? Data() : try Data(contentsOf: URL(fileURLWithPath: place + "/" + file))
        }
        return files
    }
}

/// A process that uses a database, until its standard input ends or it is killed.
struct PythonWriter {
    let process: Process
    let output: FileHandle
    let input: FileHandle

    /// Ends its input and waits.
    func stop() {
        try? input.close()
        process.waitUntilExit()
    }

    func kill() {
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

enum SQLiteScript {
    /// Commits as fast as it can until its input ends. In every committed state `state.n` is the number of rows of
    /// `log`, the greatest of their numbers, and the sum of all balances is 100,000.
    static func writer(_ database: String, mode: String) -> String {
        """
        import select, sqlite3, sys
        c = sqlite3.connect("\(database)", isolation_level=None, timeout=60)
        c.execute("PRAGMA journal_mode=\(mode)")
        c.execute("PRAGMA synchronous=OFF")
        c.execute("CREATE TABLE IF NOT EXISTS state(n INTEGER)")
        c.execute("CREATE TABLE IF NOT EXISTS log(k INTEGER PRIMARY KEY, v TEXT)")
        c.execute("CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, balance INTEGER)")
        c.execute("BEGIN")
        c.execute("INSERT INTO state SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM state)")
        c.executemany("INSERT OR IGNORE INTO account VALUES (?, 100)", [(i,) for i in range(1000)])
        c.execute("COMMIT")
        n = c.execute("SELECT n FROM state").fetchone()[0]
        print("ready")
        while not (n % 20 == 0 and select.select([sys.stdin], [], [], 0)[0]):
            n += 1
            c.execute("BEGIN IMMEDIATE")
            c.execute("UPDATE state SET n = ?", (n,))
            c.execute("INSERT INTO log VALUES (?, ?)", (n, "row %d %s" % (n, "x" * (n % 300))))
            c.execute("UPDATE account SET balance = balance - 1 WHERE id = ?", (n * 7919 % 1000,))
            c.execute("UPDATE account SET balance = balance + 1 WHERE id = ?", (n * 104729 % 1000,))
            c.execute("COMMIT")
        """
    }

    /// 1 when the state is one that the writer committed.
    static let isCommittedState = """
        SELECT (SELECT count(*) FROM log) = n AND coalesce((SELECT max(k) FROM log), 0) = n
            AND (SELECT sum(balance) FROM account) = 100000 FROM state;
        """

    /// Opens the database, does `work` with the connection `c`, says so, and waits for the end of its input.
    static func holder(_ database: String, _ work: String) -> String {
        """
        import sqlite3, sys
        c = sqlite3.connect("\(database)", isolation_level=None)
        \(work)
        print("ready")
        sys.stdin.read()
        """
    }
}
