// Texts that are objects, and objects that are texts.

import Primitives
import SecretVaults
import TestThreads
import Testing

@Suite("Texts between vaults of texts and vaults of fields", .waiting)
struct JSONObjectTextTests {
    @Test(
        "are objects where every reader makes the same of them",
        arguments: [
            "{}", #" {"a": 1, "b": [true, null, -1.50e3], "c": {"a": "é😀\u0000"}} "#, #"{"n": 123456789012345}"#,
            #"{"n": 1000000000000000000}"#, #"{"zero": 0.000}"#,
        ])
    func portable(_ text: String) { #expect(JSONObjectText.isPortable(secret(text))) }

    @Test(
        "are none where one reader could make something else of them, and where they are no object",
        arguments: [
            "", "text", #""text""#, "[1]", "5", "{", #"{"a":1} x"#, #"{"a":1,"a":2}"#, #"{"a":{"b":1,"\u0062":2}}"#,
            #"{"n":1234567890123456}"#, #"{"n":[0.1234567890123456]}"#, #"{"n":1e999}"#, #"{"n":1e-999}"#,
            #"{"a":"\ud800"}"#,
        ])
    func other(_ text: String) { #expect(!JSONObjectText.isPortable(secret(text))) }

    @Test("are none with bytes that are no letters")
    func torn() {
        let bytes: [UInt8] = Array(#"{"a":""#.utf8) + [0xFF] + Array("\"}".utf8)
        #expect(!JSONObjectText.isPortable(SecretBytes(copying: bytes.span.bytes)))
    }

    @Test(
        "come out of the one field as they went in", arguments: ["", "plain", "\"quoted\\\"\n\u{1}", "größe 😀", "{}"])
    func wrapped(_ text: String) {
        let object = JSONObjectText.wrapping(secret(text), in: "a \"field\"")
        #expect(JSONObjectText.isPortable(object))
        let isBack = JSONObjectText.unwrapping(object, from: "a \"field\"")?.equals(secret(text))
        #expect(isBack == true)
        #expect(JSONObjectText.unwrapping(object, from: "other") == nil)
    }

    @Test(
        "come out of no object that has more than the one field, or something else in it",
        arguments: [#"{"value":"a","b":"c"}"#, #"{"value":1}"#, "{}", #"{"value":"a","value":"b"}"#, "text"])
    func unwrapped(_ text: String) { #expect(JSONObjectText.unwrapping(secret(text), from: "value") == nil) }
}
