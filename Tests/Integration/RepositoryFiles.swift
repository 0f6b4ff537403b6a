// What the integration tests do to sources and to a repository's files.

import CLinux
import Foundation
import Glibc
import TestSupport
import Testing

extension ProgramRun {
    /// Makes a directory below the test's own.
    func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: directory.path + "/" + name, withIntermediateDirectories: true)
    }

    /// A file that neither shrinks nor repeats: a random mebibyte from a seed, again and again, with a number of its
    /// own in each 4 KiB.
    func randomFile(_ name: String, _ count: Int, seed: UInt64) throws {
        let entropy = SeededEntropy(seed: seed)
        var words = (0..<min(count / 8 + 1, 1 << 17)).map { _ in entropy.next() }
        var bytes = Data(capacity: count)
        while bytes.count < count {
            for place in stride(from: 0, to: words.count, by: 512) {
                words[place] = seed << 40 | UInt64(bytes.count + place)
            }
            words.withUnsafeBytes { bytes.append(contentsOf: $0.prefix(count - bytes.count)) }
        }
        try bytes.write(to: URL(fileURLWithPath: directory.path + "/" + name))
    }

    /// Files of the repository below `folder` that are objects, by size, the largest first.
    func objects(_ folder: String, in place: String? = nil) -> [String] {
        let base = (place ?? repository) + "/" + folder
        let names = FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? []
        let files = names.filter { name in
            let last = name.split(separator: "/").last ?? ""
            var isDirectory: ObjCBool = false
            let exists = FileManager.default.fileExists(atPath: base + "/" + name, isDirectory: &isDirectory)
            return exists && !isDirectory.boolValue && last.first != "."
        }
        func size(_ path: String) -> Int {
            (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
        }
        return files.map { base + "/" + $0 }.sorted { (size($0), $0) > (size($1), $1) }
    }

    /// Turns a bit in the middle of a file.
    func flipByte(of path: String) throws {
        chmod(path, 0o600)
        let file = open(path, O_RDWR)
        try #require(file >= 0)
        defer { close(file) }
        let middle = lseek(file, 0, SEEK_END) / 2
        var byte: UInt8 = 0
        try #require(pread(file, &byte, 1, middle) == 1)
        byte ^= 0x10
        try #require(pwrite(file, &byte, 1, middle) == 1)
    }

    func snapshotIDs() throws -> [String] {
        let list = try self("snapshots", "--json").json()["snapshots"] as? [[String: Any]]
        return try #require(list).compactMap { $0["id"] as? String }
    }

    /// Restores the newest snapshot into `target`, and says whether it is the same as `source`.
    func restoresLatest(as source: String, into target: String) throws -> Bool {
        let result = try self("restore", "latest", "--to", "dir:" + target)
        #expect(result.status == 0, "\(result.errors)")
        return FileManager.default.contentsEqual(
            atPath: directory.path + "/" + source, andPath: directory.path + "/" + target)
    }
}
