// The workloads that run the suite; a new scheme adds its entry here.

import Foundation
import Glibc
import TestSupport
import Testing
import Workloads

/// A source that stands still, in a directory of its own.
struct WorkloadFixture: Sendable {
    let directory: TemporaryDirectory
    /// What stands behind `scheme:`.
    let rest: String
    var options = WorkloadOptions()
    /// A source of the same scheme that cannot be read; its reading must fail.
    let broken: String
    var brokenOptions = WorkloadOptions()
    /// What restoring the snapshot to a directory must give, compared byte by byte: a directory of the fixture.
    let expected: String
    /// The server of a source that has one, which runs as long as this is kept.
    var server: ConformanceCluster?

    /// The same bytes come back every time; a server's files are not what they were before they were read.
    var isStill: Bool { server == nil }
}

/// How to make a source of one scheme.
struct WorkloadUnderTest: Sendable, CustomTestStringConvertible {
    let scheme: String
    /// Schemes that mean the same.
    var aliases: [String] = []
    /// The scheme of a target that takes such a snapshot, besides directories.
    var target: String?
    let make: @Sendable () throws -> WorkloadFixture
    var testDescription: String { scheme }

    static let all = [files, command, sqlite] + (ConformanceCluster.isInstalled ? [postgres, dumps] : [])

    static let files = WorkloadUnderTest(scheme: "dir", target: "dir") {
        let directory = TemporaryDirectory()
        try run("mkdir -p source/a/b && head -c 300000 /dev/urandom > source/a/b/c && echo x > source/a.txt", directory)
        return WorkloadFixture(
            directory: directory, rest: directory.path + "/source", broken: directory.path + "/none",
            expected: directory.path + "/source")
    }

    static let command = WorkloadUnderTest(scheme: "stdin") {
        let directory = TemporaryDirectory()
        try run("mkdir source && head -c 300000 /dev/urandom > source/stream", directory)
        var fixture = WorkloadFixture(
            directory: directory, rest: "stream", broken: "stream", expected: directory.path + "/source")
        fixture.options.command = ["cat", directory.path + "/source/stream"]
        fixture.brokenOptions.command = ["sh", "-c", "echo some; exit 1"]
        return fixture
    }

    static let sqlite = WorkloadUnderTest(scheme: "sqlite", target: "sqlite") {
        let directory = TemporaryDirectory()
        try run(
            """
            mkdir source && sqlite3 source/a.db 'CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(300000));' \
            && cp source/a.db source/b.db && printf x | dd of=source/b.db conv=notrunc status=none \
            && mkdir broken && mv source/b.db broken/a.db
            """, directory)
        return WorkloadFixture(
            directory: directory, rest: directory.path + "/source/a.db", broken: directory.path + "/broken/a.db",
            expected: directory.path + "/source")
    }

    static let postgres = WorkloadUnderTest(scheme: "postgres", aliases: ["postgresql"], target: "pgdata") {
        let directory = TemporaryDirectory()
        try run("mkdir source", directory)
        let server = try ConformanceCluster(in: directory.path)
        return WorkloadFixture(
            directory: directory, rest: server.rest, broken: "///?host=\(directory.path)/none",
            expected: directory.path + "/source", server: server)
    }

    static let dumps = WorkloadUnderTest(scheme: "pgdump") {
        let directory = TemporaryDirectory()
        try run("mkdir source", directory)
        let server = try ConformanceCluster(in: directory.path)
        return WorkloadFixture(
            directory: directory, rest: "postgres:" + server.rest, broken: "postgres:///?host=\(directory.path)/none",
            expected: directory.path + "/source", server: server)
    }

    private static func run(_ line: String, _ directory: TemporaryDirectory) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", line]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(line)")
    }
}
