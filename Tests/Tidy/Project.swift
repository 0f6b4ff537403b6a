// The tree that the tidy tests look at.

import Foundation

/// A rule that a place in the tree breaks.
struct Violation: Hashable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { line > 0 ? "\(path):\(line): \(message)" : "\(path): \(message)" }
}

/// The package's directory, found from this file's own place.
enum Project {
    static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// Every Swift file under Sources and Tests.
    static let sources: [SwiftSource] = (files(under: "Sources") + files(under: "Tests"))
        .filter { $0.hasSuffix(".swift") }
        .map { SwiftSource(path: $0, text: text($0)) }

    /// Every file of the project, as paths from the root: what is at the top, and all in its known folders.
    static let files: [String] = {
        let top = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let loose = top.filter { isFile($0) && !$0.hasPrefix(".git") && $0 != "Package.resolved" }
        return (loose + folders.flatMap { files(under: $0) }).sorted()
    }()

    private static let folders = [".ci", "Sources", "Tests", "deploy", "docs", "schedules", "scripts"]

    static func files(under folder: String) -> [String] {
        let all = FileManager.default.enumerator(atPath: root + "/" + folder)
        return (all?.compactMap { $0 as? String } ?? []).map { folder + "/" + $0 }.filter(isFile).sorted()
    }

    /// The file's text; bytes that are not UTF-8 are replaced. Empty when there is no such file.
    static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: root + "/" + path) ?? Data(), as: UTF8.self)
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root + "/" + path) }

    private static func isFile(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isDirectory)
            && !isDirectory.boolValue
    }
}

/// Runs a program in the package's directory and returns its status with all that it printed.
func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: Project.root)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
}

/// One line for each violation, for a failure message; empty when there is none.
func report(_ violations: [Violation]) -> String { violations.map { "\n\($0)" }.joined() }
