// Names, tags and values.

import Primitives
import SecretVaults
import TestThreads
import Testing

@Suite("The model of secrets", .waiting)
struct ModelTests {
    @Test("tells names apart that Swift takes for equal")
    func composed() throws {
        let (one, other) = (try SecretName("caf\u{E9}"), try SecretName("cafe\u{301}"))
        #expect(one.text == other.text && one != other)
        #expect(Set([one, other]).count == 2)
        var tags = SecretTags()
        tags[one.text] = "1"
        tags["cafe\u{301}"] = "2"
        #expect(tags.count == 2 && tags["caf\u{E9}"] == "1")
        #expect(SecretTags([("a", "\u{E9}")]) != SecretTags([("a", "e\u{301}")]))
    }

    @Test("refuses names that are empty, too long or would forge lines")
    func names() throws {
        for (text, code) in [
            ("", ErrorCode.limitExceeded), ("a\nb", .usage), (String(repeating: "a", count: 1025), .limitExceeded),
        ] {
            do throws(HoldfastError) {
                _ = try SecretName(text)
                Issue.record("\(text) was taken")
            } catch {
                #expect(error.code == code)
            }
        }
    }

    @Test("keeps tags in order, and forgets those that are set to nil")
    func tags() {
        var tags = SecretTags([("b", "2"), ("a", "1"), ("b", "3")])
        #expect(tags.tags.map(\.key) == ["a", "b"] && tags["b"] == "3")
        tags["a"] = nil
        tags["none"] = nil
        #expect(tags.tags.map(\.key) == ["b"])
    }

    @Test("prints no value")
    func redacted() {
        let bytes = Array("hunter2".utf8)
        let value = SecretValue(.text, SecretBytes(copying: bytes.span.bytes))
        let reading = SecretReading(version: .unversioned, value: value)
        var dumped = ""
        dump(reading, to: &dumped)
        for text in ["\(value)", "\(reading)", String(reflecting: reading), dumped] {
            #expect(!text.contains("hunter2") && !text.contains("104"))
        }
    }

    @Test("carries how long a vault asked to be left alone")
    func retryAfter() {
        #expect(HoldfastError.vaultThrottled("v", after: .seconds(7)).retryAfter == .seconds(7))
        #expect(HoldfastError.vaultThrottled("v", after: .seconds(1 << 40)).retryAfter == .seconds(86_400))
        #expect(HoldfastError.vaultThrottled("v", after: nil).retryAfter == nil)
    }
}
