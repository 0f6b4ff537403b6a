// Holds the committed schema and reference to the declarations.

import Configuring
import Foundation
import Testing

@Suite("The documents of the configuration are current")
struct DocumentTests {
    private let root: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.path
    }()

    private func text(_ path: String) throws -> String {
        try String(contentsOfFile: root + "/" + path, encoding: .utf8)
    }

    @Test("docs/holdfast.schema.json is what `holdfast config schema` prints")
    func schema() throws { #expect(try text("docs/holdfast.schema.json") == JSONSchema.text) }

    @Test("docs/CONFIGURATION.md is what `holdfast config schema --markdown` prints")
    func reference() throws { #expect(try text("docs/CONFIGURATION.md") == ConfigurationReference.markdown) }

    @Test("docs/schedule.schema.json and docs/JOBS.md are what `holdfast config schema --jobs` prints")
    func jobs() throws {
        #expect(try text("docs/schedule.schema.json") == JSONSchema.jobText)
        #expect(try text("docs/JOBS.md") == ConfigurationReference.jobMarkdown)
    }

    @Test("the example is good")
    func example() throws { #expect(Parsing.problems(try text("schedules/holdfast.yaml")) == []) }

    private func checkSchema(_ arguments: String...) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: root + "/.build/tools/bin/python3")
        process.arguments = ["-m", "check_jsonschema"] + arguments
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test("another program finds the schemas valid, the examples good, and a misspelt key bad")
    func independent() throws {
        let schema = root + "/docs/holdfast.schema.json"
        let example = root + "/schedules/holdfast.yaml"
        #expect(try checkSchema("--check-metaschema", schema) == 0)
        #expect(try checkSchema("--schemafile", schema, example) == 0)
        let jobs = try FileManager.default.contentsOfDirectory(atPath: root + "/schedules")
            .filter { $0.hasSuffix(".yaml") && $0 != JobDirectory.configurationName }
        #expect(jobs.count >= 6)
        let jobSchema = root + "/docs/schedule.schema.json"
        #expect(try checkSchema("--check-metaschema", jobSchema) == 0)
        for job in jobs {
            let path = root + "/schedules/" + job
            #expect(try checkSchema("--schemafile", jobSchema, path) == 0, "\(job)")
            guard case .good = try JobFile.read(path) else {
                Issue.record("\(job) is not good")
                continue
            }
        }
        #expect(try checkSchema("--schemafile", jobSchema, example) == 1)
        let bad = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).yaml")
        defer { try? FileManager.default.removeItem(at: bad) }
        try text("schedules/holdfast.yaml").replacingOccurrences(of: "retention", with: "retenton")
            .write(to: bad, atomically: true, encoding: .utf8)
        #expect(try checkSchema("--schemafile", schema, bad.path) == 1)
    }
}
