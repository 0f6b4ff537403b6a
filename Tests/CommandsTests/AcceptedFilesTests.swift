// Copies of the files that a daemon has accepted.

import Foundation
import TestSupport
import Testing

@testable import Commands

@Suite("Accepted files")
struct AcceptedFilesTests {
    @Test("are taken away when there are many newer ones, but not while a run reads them")
    func thinned() throws {
        let directory = TemporaryDirectory()
        let files = AcceptedFiles(state: directory.path)
        for number in 1...20 {
            try FileManager.default.createDirectory(
                atPath: "\(files.directory)/\(number)/schedules", withIntermediateDirectories: true)
        }
        func left() throws -> [Int] {
            try FileManager.default.contentsOfDirectory(atPath: files.directory).compactMap { Int($0) }.sorted()
        }
        let holds = [1, 2].map { _ in AcceptedFiles.hold("\(files.directory)/2/schedules") }
        #expect(holds.allSatisfy { $0 != nil })
        withExtendedLifetime(holds) { files.thin() }
        #expect(try left() == [2] + Array(5...20))
    }

    @Test("are taken away when the run that read them has ended")
    func ended() throws {
        let directory = TemporaryDirectory()
        let files = AcceptedFiles(state: directory.path)
        for number in 1...17 {
            try FileManager.default.createDirectory(
                atPath: "\(files.directory)/\(number)/schedules", withIntermediateDirectories: true)
        }
        do { withExtendedLifetime(AcceptedFiles.hold("\(files.directory)/1/schedules")) { files.thin() } }
        #expect(FileManager.default.fileExists(atPath: files.directory + "/1"))
        files.thin()
        #expect(!FileManager.default.fileExists(atPath: files.directory + "/1"))
    }
}
