// What becomes of values, labels and details of one kind of vault in another.

import Primitives
import SecretVaults
import TestSupport
import Testing
import VaultProviders

@testable import Workloads

@Suite("Secrets of one kind of vault in another")
struct SecretFitTests {
    private let name = SecretName(validated: Array("app".utf8))

    private func capabilities(_ kind: VaultKind, _ forms: Set<SecretForm>) -> VaultCapabilities {
        VaultCapabilities(
            kind: kind, nameRule: .any, maximumNameBytes: 100, maximumValue: .kibi(1), forms: forms, fields: [],
            comparison: .atomic, stateChanges: [], removals: [], stages: SecretStages.of(kind), concurrency: 1)
    }

    private func value(_ form: SecretForm, _ text: String) -> SecretValue {
        SecretValue(form, TestRepository.secret(text))
    }

    private func text(_ value: SecretValue) -> String {
        "\(value.form) " + value.bytes.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    @Test("are fields where a text is an object, byte for byte, which is counted")
    func objects() throws {
        let fit = SecretFit(capabilities(.keyValue2, [.fields]))
        #expect(try text(fit.value(value(.text, #"{"a": 1}"#), of: name)) == #"fields {"a": 1}"#)
        #expect(fit.losses(of: "it").count == 1 && fit.losses(of: "it")[0].contains("forms of values"))
        for other in ["plain", #"{"a":1,"a":2}"#, #"{"n":12345678901234567}"#] {
            let error = #expect(throws: HoldfastError.self) { try fit.value(value(.text, other), of: name) }
            #expect(error?.code == .targetFailed && error?.hint.contains("--text-field") == true)
            #expect(error?.message.contains(other) == false)
        }
        let bytes = #expect(throws: HoldfastError.self) { try fit.value(value(.binary, "b"), of: name) }
        #expect(bytes?.code == .targetFailed)
    }

    @Test("are one field where a text is none and that was asked for, and a text again on the way back")
    func fields() throws {
        let there = SecretFit(capabilities(.keyValue2, [.fields]), textField: "value")
        #expect(try text(there.value(value(.text, "a \"b\""), of: name)) == #"fields {"value":"a \"b\""}"#)
        #expect(try text(there.value(value(.text, #"{"a":1}"#), of: name)) == #"fields {"a":1}"#)
        let back = SecretFit(capabilities(.aws, [.text, .binary]), textField: "value")
        #expect(try text(back.value(value(.fields, #"{"value":"a \"b\""}"#), of: name)) == "text a \"b\"")
        #expect(try text(back.value(value(.fields, #"{"other":"a"}"#), of: name)) == #"text {"other":"a"}"#)
        let unasked = SecretFit(capabilities(.aws, [.text, .binary]))
        #expect(try text(unasked.value(value(.fields, #"{"value":"a"}"#), of: name)) == #"text {"value":"a"}"#)
        // What makes it larger counts.
        let long = String(repeating: "\"", count: 1000)
        #expect(throws: HoldfastError.self) { try there.value(value(.text, long), of: name) }
    }

    @Test("are known again in the form that they got, and no others are taken for them")
    func held() {
        let fields = SecretFit(capabilities(.keyValue2, [.fields]), textField: "value")
        #expect(fields.isHeld(value(.fields, #"{"a":1,"b":2}"#), for: value(.text, #"{"b": 2, "a": 1.0}"#)))
        #expect(fields.isHeld(value(.fields, #"{"a":1}"#), for: value(.fields, #"{ "a":1 }"#)))
        #expect(fields.isHeld(value(.fields, #"{"value":"x"}"#), for: value(.text, "x")))
        #expect(!fields.isHeld(value(.fields, #"{"value":"x"}"#), for: value(.text, "y")))
        #expect(!fields.isHeld(value(.fields, #"{"a":1}"#), for: value(.text, #"{"a":2}"#)))
        let texts = SecretFit(capabilities(.aws, [.text, .binary]), textField: "value")
        #expect(texts.isHeld(value(.text, #"{"a": 1}"#), for: value(.fields, #"{"a":1}"#)))
        #expect(texts.isHeld(value(.text, "x"), for: value(.fields, #"{"value":"x"}"#)))
        #expect(!texts.isHeld(value(.text, #"{"a": 1}"#), for: value(.text, #"{"a":1}"#)))
        #expect(!texts.isHeld(value(.binary, "x"), for: value(.text, "x")))
        let both = SecretFit(capabilities(.embedded, [.text, .binary, .fields]), textField: "value")
        #expect(!both.isHeld(value(.text, #"{"a":1}"#), for: value(.fields, #"{"a":1}"#)))
        #expect(!both.isHeld(value(.fields, #"{"a":1}"#), for: value(.fields, #"{ "a":1}"#)))
    }

    // MARK: Labels

    private func record(_ labels: [[String]], current: Int) throws -> SecretRecord {
        var record = SecretRecord(name: name)
        for (place, labels) in labels.enumerated() {
            var version = SecretVersion(
                id: try SecretVersionID("v\(place)"), order: UInt64(place + 1), created: nil)
            version.labels = try labels.map { text throws in try StagingLabel(text) }
            record.versions.append(version)
        }
        record.current = record.versions[current].id
        return record
    }

    private func labels(_ record: SecretRecord) -> [[String]] { record.versions.map { $0.labels.map(\.text) } }

    @Test("have labels by the names of the vault that they go into")
    func stages() throws {
        let own = try record([["AWSPREVIOUS"], ["AWSCURRENT", "mine"], ["AWSPENDING", "pending"]], current: 1)
        let embedded = SecretFit(capabilities(.embedded, [.text]), from: .aws)
        #expect(labels(embedded.record(own)) == [["previous"], ["current", "mine"], ["pending"]])
        #expect(embedded.losses(of: "it").count == 1 && embedded.losses(of: "it")[0].contains("app pending"))
        let back = SecretFit(capabilities(.aws, [.text]), from: .embedded)
        #expect(
            labels(back.record(embedded.record(own))) == [["AWSPREVIOUS"], ["AWSCURRENT", "mine"], ["AWSPENDING"]])
        #expect(labels(SecretFit(capabilities(.aws, [.text]), from: .aws).record(own)) == labels(own))
        #expect(labels(SecretFit(capabilities(.embedded, [.text])).record(own)) == labels(own))
    }

    @Test("from a vault of numbers alone have the version before as the previous one")
    func numbers() throws {
        var own = try record([[], [], [], []], current: 3)
        own.versions[2].state = .destroyed(at: nil)
        let fit = SecretFit(capabilities(.aws, [.text]), from: .keyValue2)
        #expect(labels(fit.record(own)) == [[], ["AWSPREVIOUS"], [], []])
    }

    // MARK: Details

    @Test("that had keys, rotation and replicas of their vault's own are named, unless they have them still")
    func details() throws {
        var own = SecretRecord(name: name)
        own.extras = SecretTags([
            ("KmsKeyId", "alias/mine"), ("RotationEnabled", "true"), ("RotationRules", "{}"),
            ("RotationLambdaARN", "arn:f"), ("ReplicationStatus", "eu-west-1"), ("OwningService", "rds"),
            ("aws:x", "1"),
        ])
        let fit = SecretFit(capabilities(.aws, [.text]), from: .aws)
        fit.loseDetails(of: own, there: nil)
        let losses = fit.losses(of: "it")
        #expect(losses.count == 5, "\(losses)")
        for word in ["app (alias/mine)", "rotations of secrets", "app (eu-west-1)", "app (rds)", "1 details"] {
            #expect(losses.contains { $0.contains(word) }, "\(word): \(losses)")
        }
        let same = SecretFit(capabilities(.aws, [.text]), from: .aws)
        same.loseDetails(of: own, there: own)
        var unrotated = SecretRecord(name: name)
        unrotated.extras = SecretTags([("RotationEnabled", "false"), ("KmsKeyId", "")])
        same.loseDetails(of: unrotated, there: nil)
        #expect(same.losses(of: "it").isEmpty, "\(same.losses(of: "it"))")
    }

    @Test("are named up to ten")
    func many() {
        let fit = SecretFit(capabilities(.aws, [.text]), from: .aws)
        for number in 10..<25 { fit.lose("things", 1, "n\(number)") }
        let loss = fit.losses(of: "it")
        #expect(loss.count == 1 && loss[0].hasPrefix("15 things could not be taken back by it: n10, n11"), "\(loss)")
        #expect(loss[0].hasSuffix("n19 and others"), "\(loss)")
    }
}
