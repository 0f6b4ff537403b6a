// Every input that was ever worth keeping, through every decoder.

import Fuzzing
import Glibc
import Primitives
import TestSupport
import Testing

@Suite("Fuzz corpus")
struct CorpusTests {
    private static let directory: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return parts.joined(separator: "/") + "/Fixtures/fuzz"
    }()

    private static func inputs() throws -> [(name: String, bytes: [UInt8])] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return try names.filter { !$0.hasPrefix(".") && $0 != "README.md" }.sorted().map { name in
            let file = try #require(fopen("\(directory)/\(name)", "r"))
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: Fuzzer.maximumInput + 1)
            let count = fread(&bytes, 1, bytes.count, file)
            return (name, Array(bytes[..<count]))
        }
    }

    @Test("every kept input keeps the promises of every decoder")
    func everyInput() throws {
        let directory = TemporaryDirectory()
        let fuzzer = try Fuzzer(scratch: directory.path)
        let inputs = try Self.inputs()
        #expect(inputs.count >= FuzzTarget.allCases.count)
        var accepted: Set<FuzzTarget> = []
        for (name, bytes) in inputs {
            for target in FuzzTarget.allCases {
                let verdict = fuzzer.run(target, Array(bytes.dropFirst()))
                if case .wrong(let what) = verdict { Issue.record("\(name) as \(target): \(what)") }
                if verdict == .accepted { accepted.insert(target) }
            }
        }
        // Else the seeds do not reach what is behind the decoders' first checks.
        #expect(Set(FuzzTarget.allCases).subtracting(accepted).isEmpty)
    }

    @Test("inputs that change in a few places keep the promises", arguments: UInt64(1)...4)
    func mutations(seed: UInt64) throws {
        let directory = TemporaryDirectory()
        let fuzzer = try Fuzzer(scratch: directory.path)
        let random = SeededEntropy(seed: seed)
        for (name, bytes) in try Self.inputs() where bytes.count > 1 && bytes.count < 4096 {
            for round in 0..<8 {
                var changed = bytes
                for _ in 0..<(1 + random.next() % 3) {
                    let place = 1 + Int(random.next() % UInt64(changed.count - 1))
                    switch random.next() % 4 {
                    case 0: changed[place] ^= 1 << UInt8(random.next() % 8)
                    case 1: changed[place] = UInt8(truncatingIfNeeded: random.next())
                    case 2: changed[place] = 0xFF
                    default: if changed.count > 2 { changed.remove(at: place) }
                    }
                }
                if case .wrong(let what)? = fuzzer.run(changed) {
                    Issue.record("\(name), seed \(seed), round \(round): \(what)")
                }
            }
        }
    }

    @Test("an input that names no decoder, or is too long, is not looked at")
    func ignored() throws {
        let directory = TemporaryDirectory()
        let fuzzer = try Fuzzer(scratch: directory.path)
        #expect(fuzzer.run([]) == nil)
        #expect(fuzzer.run([0, 1, 2]) == nil)
        #expect(fuzzer.run([UInt8](repeating: 1, count: Fuzzer.maximumInput + 1)) == nil)
    }
}
