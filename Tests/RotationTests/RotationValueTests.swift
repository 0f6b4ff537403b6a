// New values, fingerprints, and candidates under seal.

import Foundation
import Primitives
import Rotation
import Sealing
import SecretVaults
import TestSupport
import Testing

@Suite("Values of rotations")
struct RotationValueTests {
    private let entropy = SystemEntropy()

    private func make(_ generator: SecretGenerator) throws -> GeneratedSecret {
        try generator.make(SecretPrograms(SystemProcessRunner(), cancellation: Cancellation()), entropy: entropy)
    }

    private func string(_ bytes: SecretBytes) -> String { bytes.withBytes { String(decoding: $0, as: UTF8.self) } }

    @Test("are drawn from the alphabet, each letter as likely as the others")
    func letters() throws {
        let alphabet = Array("abcdefghijklmnopqrstuvw".utf8)
        let drawn = string(try make(.text(length: 4096, alphabet: alphabet)).bytes)
        #expect(drawn.utf8.count == 4096 && drawn.utf8.allSatisfy(alphabet.contains))
        let counts = alphabet.map { letter in drawn.utf8.count { $0 == letter } }
        // 178 each on average; one that is twice as likely as another has 340.
        #expect(counts.allSatisfy { (90...280).contains($0) }, "\(counts)")
        let (one, other) = (try make(.standard), try make(.standard))
        #expect(string(one.bytes) != string(other.bytes))
    }

    @Test("of bytes are raw, hexadecimal, or base 64 as everybody writes it")
    func bytes() throws {
        for count in [1, 2, 3, 32, 255] {
            let value = try make(.bytes(count: count, .base64))
            #expect(Data(base64Encoded: string(value.bytes))?.count == count && value.isText)
            #expect(try make(.bytes(count: count, .hex)).bytes.count == count * 2)
            #expect(try make(.bytes(count: count, .raw)).bytes.count == count)
        }
        #expect(string(secret("Man").base64) == "TWFu" && string(secret("Ma").base64) == "TWE=")
    }

    @Test("of key pairs are PEM that another program reads, with the public half of the same pair")
    func keyPairs() throws {
        for kind in [KeyPairKind.ed25519, .rsa2048] {
            let pair = try make(.keyPair(kind))
            let shown = try #require(pair.publicKey)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["openssl", "pkey", "-pubout"]
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            input.fileHandleForWriting.write(Data(string(pair.bytes).utf8))
            try input.fileHandleForWriting.close()
            let derived = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(derived == shown && !derived.isEmpty, "\(kind)")
        }
    }

    @Test("of programs come without the line feed at their end, and a program that fails makes none")
    func programs() throws {
        let value = try make(.command(["sh", "-c", "echo made; echo remark >&2"]))
        #expect(string(value.bytes) == "made" && value.isText)
        #expect(failure { _ = try make(.command(["false"])) }?.code == .processFailed)
        #expect(failure { _ = try make(.command(["true"])) }?.code == .processFailed)
        #expect(failure { _ = try make(.command(["head", "-c", "2000000", "/dev/zero"])) }?.code == .limitExceeded)
    }

    @Test("replace one field of an object, and leave the others byte for byte")
    func fields() throws {
        let object = SecretValue(.fields, secret(#"{"user": "a", "password":"old","n":1.50, "x":{"password":"y"}}"#))
        let fresh = GeneratedSecret(bytes: secret("new \"one\""), isText: true, publicKey: "PUB")
        let forms = Set(SecretForm.allCases)
        let one = try ValueDocument.replacing(ValuePlace(), of: object, with: fresh, forms: forms)
        #expect(
            text(one) == #"{"user":"a","password":"new \"one\"","n":1.50,"x":{"password":"y"}}"#, "\(text(one))")
        let both = try ValueDocument.replacing(
            ValuePlace(field: "key", publicField: "public"), of: object, with: fresh, forms: forms)
        #expect(text(both).hasSuffix(#""key":"new \"one\"","public":"PUB"}"#))
        let single = SecretValue(.fields, secret(#"{"token":"old"}"#))
        #expect(
            text(try ValueDocument.replacing(ValuePlace(), of: single, with: fresh, forms: forms))
                == #"{"token":"new \"one\""}"#)
        // What can't be told, or can't be done, is refused.
        let two = SecretValue(.fields, secret(#"{"a":"1","b":"2"}"#))
        let plain = SecretValue(.text, secret("no object"))
        let raw = GeneratedSecret(bytes: secret("x"), isText: false)
        #expect(failure { _ = try ValueDocument.replacing(ValuePlace(), of: two, with: fresh, forms: forms) } != nil)
        #expect(
            failure {
                _ = try ValueDocument.replacing(ValuePlace(field: "a"), of: plain, with: fresh, forms: forms)
            }?.code == .usage)
        #expect(
            failure { _ = try ValueDocument.replacing(ValuePlace(), of: plain, with: raw, forms: [.text]) } != nil)
        let texts = try ValueDocument.texts(["user", "n", "gone"], of: object)
        #expect(texts.map { $0.map(string) } == ["a", nil, nil])
    }

    @Test("have fingerprints that nobody can make without the key, and that say the same of objects that do")
    func fingerprints() throws {
        let (one, other) = (try RotationKey(entropy.secret(32)), try RotationKey(entropy.secret(32)))
        let value = SecretValue(.text, secret("value"))
        #expect(one.fingerprint(value) == one.fingerprint(value) && one.fingerprint(value).utf8.count == 16)
        #expect(one.fingerprint(value) != other.fingerprint(value))
        #expect(one.fingerprint(value) != one.fingerprint(SecretValue(.binary, secret("value"))))
        let (written, sorted) = (secret(#"{"b":"2", "a":"1"}"#), secret(#"{"a":"1","b":"2"}"#))
        #expect(one.fingerprint(SecretValue(.fields, written)) == one.fingerprint(SecretValue(.fields, sorted)))
        let plain = SHA256.digest(Array("value".utf8).span.bytes)
        #expect(!Hex.encode(plain.array).hasPrefix(one.fingerprint(value)))
    }

    @Test("are sealed for one rotation of one secret, and open for no other")
    func candidates() throws {
        let key = try RotationKey(entropy.secret(32))
        let value = SecretValue(.binary, secret("the candidate"))
        let sealed = try key.seal(value, for: "r1", of: "app", at: "v", entropy)
        #expect(try key.open(sealed, for: "r1", of: "app", at: "v").equals(value))
        #expect(try key.seal(value, for: "r1", of: "app", at: "v", entropy) != sealed)
        for (rotation, name, vault) in [
            ("r2", "app", "v"), ("r1", "app2", "v"), ("r1", "app", "w"), ("r1a", "pp", "v"),
        ] {
            #expect(failure { _ = try key.open(sealed, for: rotation, of: name, at: vault) }?.code == .corruptObject)
        }
        #expect(
            failure { _ = try RotationKey(entropy.secret(32)).open(sealed, for: "r1", of: "app", at: "v") }?.code
                == .corruptObject)
        var changed = sealed
        changed[40] ^= 1
        #expect(failure { _ = try key.open(changed, for: "r1", of: "app", at: "v") }?.code == .corruptObject)
    }

    @Test("go by one key of the state, which is made once and is its user's alone")
    func keyFile() throws {
        let directory = TemporaryDirectory()
        let value = SecretValue(.text, secret("value"))
        let first = try RotationKey.open(inState: directory.path, entropy: entropy).fingerprint(value)
        #expect(try RotationKey.open(inState: directory.path, entropy: entropy).fingerprint(value) == first)
        let path = "\(directory.path)/\(RotationKey.fileName)"
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600 && attributes[.size] as? Int == 32)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [RotationKey.fileName])
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        #expect(failure { _ = try RotationKey.open(inState: directory.path, entropy: entropy) }?.code == .accessDenied)
        try Data([1, 2]).write(to: URL(fileURLWithPath: path), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(failure { _ = try RotationKey.open(inState: directory.path, entropy: entropy) }?.code == .corruptObject)
    }
}
