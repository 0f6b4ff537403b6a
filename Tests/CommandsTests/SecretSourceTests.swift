// Where passwords and keys come from.

import Glibc
import Primitives
import Synchronization
import TestSupport
import Testing

@testable import Commands

@Suite("The source of a secret")
struct SecretSourceTests {
    private let directory = TemporaryDirectory()
    private let warnings = Warnings()

    private final class Warnings: Sendable {
        let all = Mutex<[String]>([])
        func add(_ text: String) { all.withLock { $0.append(text) } }
    }

    private func source(_ values: [String: String], inherited: String? = nil) -> SecretSource {
        let warnings = warnings
        return SecretSource(
            variables: variables(values), inherited: inherited.map(TestRepository.secret),
            runner: SystemProcessRunner(), cancellation: Cancellation(), warn: { warnings.add($0) })
    }

    private func file(_ name: String, _ text: String, mode: mode_t = 0o600) throws -> String {
        let path = directory.path + "/" + name
        let file = try #require(fopen(path, "w"))
        let bytes = Array(text.utf8)
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        fclose(file)
        #expect(chmod(path, mode) == 0)
        return path
    }

    private func text(_ key: SlotKey) -> String { key.secret.withBytes { String(decoding: $0, as: UTF8.self) } }

    @Test("a password out of the environment is taken as it is")
    func inherited() throws {
        let key = try source([:], inherited: " a b\n").key(confirming: false)
        #expect(text(key) == " a b\n")
        #expect(!key.isRaw)
    }

    @Test(
        "a file gives its first line without the end of the line",
        arguments: [
            ("secret", "secret"), ("secret\n", "secret"), ("secret\r\nmore\n", "secret"), (" s p \n", " s p "),
            ("a\rb\n", "a\rb"), ("end\r", "end\r"),
        ])
    func firstLine(content: String, password: String) throws {
        let path = try file("password", content)
        #expect(text(try source(["HOLDFAST_PASSWORD_FILE": path]).key(confirming: false)) == password)
        #expect(warnings.all.withLock { $0 } == [])
    }

    @Test("a file that everybody can read draws a warning")
    func open() throws {
        let path = try file("password", "secret\n", mode: 0o644)
        _ = try source(["HOLDFAST_PASSWORD_FILE": path]).key(confirming: false)
        #expect(warnings.all.withLock { $0.count } == 1)
    }

    @Test("a file that is missing, empty or too long is an error of the configuration")
    func badFiles() throws {
        for path in [
            directory.path + "/none", try file("empty", ""), try file("line", "\nsecret"), directory.path,
            try file("long", String(repeating: "x", count: 4096)),
        ] {
            #expect(
                code { _ = try source(["HOLDFAST_PASSWORD_FILE": path]).key(confirming: false) } == .configuration,
                "\(path)")
        }
        let longest = try file("longest", String(repeating: "x", count: 4095) + "\n")
        #expect(try source(["HOLDFAST_PASSWORD_FILE": longest]).key(confirming: false).secret.count == 4095)
    }

    @Test("a raw key is a file of exactly 32 bytes")
    func rawKey() throws {
        let path = try file("key", String(repeating: "\n", count: 32))
        let key = try source(["HOLDFAST_KEY_FILE": path]).key(confirming: false)
        #expect(key.isRaw)
        #expect(key.secret.count == 32)
        for count in [0, 31, 33] {
            let wrong = try file("key\(count)", String(repeating: "k", count: count))
            #expect(code { _ = try source(["HOLDFAST_KEY_FILE": wrong]).key(confirming: false) } == .configuration)
        }
    }

    @Test("a command gives the first line that it prints")
    func command() throws {
        let command = "printf '%s\\n' \"two words\" more"
        #expect(text(try source(["HOLDFAST_PASSWORD_COMMAND": command]).key(confirming: false)) == "two words")
    }

    @Test("a command that fails or prints nothing gives no password")
    func failingCommand() {
        func failure(_ command: String) -> ErrorCode? {
            code { _ = try source(["HOLDFAST_PASSWORD_COMMAND": command]).key(confirming: false) }
        }
        #expect(failure("sh -c 'echo secret; exit 3'") == .processFailed)
        #expect(failure("true") == .configuration)
        #expect(failure("/no/such/program") == .processFailed)
        #expect(failure("'open") == .configuration)
    }

    @Test("two sources at once are refused")
    func several() throws {
        let path = try file("password", "secret")
        let both = ["HOLDFAST_PASSWORD_FILE": path, "HOLDFAST_KEY_FILE": path]
        #expect(code { _ = try source(both).key(confirming: false) } == .usage)
        let other = ["HOLDFAST_PASSWORD_FILE": path]
        #expect(code { _ = try source(other, inherited: "a").key(confirming: false) } == .usage)
    }

    @Test(
        "words are split by one simple rule",
        arguments: [
            ("pass show backup", ["pass", "show", "backup"]), ("  a\tb  ", ["a", "b"]),
            ("'a b' \"c d\"", ["a b", "c d"]),
            ("a\\ b", ["a b"]), ("'a\\b' \"c\\\"d\"", ["a\\b", "c\"d"]), ("a'b'\"c\"", ["abc"]),
            ("a '' b", ["a", "", "b"]),
            ("echo $HOME *", ["echo", "$HOME", "*"]),
        ])
    func words(text: String, expected: [String]) throws {
        #expect(try CommandWords.split(text, from: "X") == expected)
    }

    @Test("text that cannot be split is refused", arguments: ["", "  ", "'a", "\"a", "a\\", "''", "\"\" a"])
    func badWords(text: String) {
        #expect(code { _ = try CommandWords.split(text, from: "X") } == .configuration)
    }

    @Test("a new key file is made once, for its owner alone, and left alone afterwards")
    func keyFile() throws {
        let path = directory.path + "/new.key"
        let first = TestRepository.secret(String(repeating: "a", count: 32))
        #expect(try SecretFile.create(path, first))
        #expect(try !SecretFile.create(path, TestRepository.secret("other")))
        #expect(try SecretFile.read(path, limit: 32).bytes.equals(first))
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }
}
