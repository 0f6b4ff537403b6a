// The signature of requests to AWS, held to the vectors that AWS publishes.

import Primitives
import Sealing
import SecretVaults
import TestSupport
import TestThreads
import Testing

@testable import VaultProviders

@Suite("The signature of requests to AWS", .waiting)
struct AWSSignatureTests {
    private let keys = AWSCredentials(
        keyID: "AKIDEXAMPLE", secret: secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
    private let instant = Timestamp(seconds: 1_440_938_160)

    /// A case of the "AWS Signature Version 4 test suite", whose date is 2015-08-30T12:36:00Z, whose region is
    /// us-east-1 and whose service is `service`.
    struct Vector: Sendable, CustomTestStringConvertible {
        var name: String
        var method = "GET"
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body = ""
        var signature: String
        var testDescription: String { name }
    }

    static let vectors = [
        Vector(name: "get-vanilla", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        Vector(
            name: "get-vanilla-query-order-key-case", query: [("Param2", "value2"), ("Param1", "value1")],
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        Vector(
            name: "get-header-value-trim", headers: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        Vector(
            name: "post-vanilla", method: "POST",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        Vector(
            name: "post-x-www-form-urlencoded", method: "POST",
            headers: [("Content-Type", "application/x-www-form-urlencoded")], body: "Param1=value1",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ]

    @Test("is that of the published vectors", arguments: vectors)
    func published(_ vector: Vector) {
        let body = Array(vector.body.utf8)
        let request = AWSRequest(
            method: vector.method, query: vector.query,
            headers: [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")] + vector.headers,
            bodyDigest: SHA256.digest(body.span.bytes))
        let signature = AWSSignature(region: "us-east-1", service: "service", at: instant)
        let text = signature.authorization(for: request, keys)
        #expect(text.hasSuffix("Signature=\(vector.signature)"), "\(AWSSignature.canonical(request))")
        #expect(text.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "))
    }

    @Test("is that of the documentation's example, also for a query")
    func documented() {
        let empty: [UInt8] = []
        let request = AWSRequest(
            method: "GET", query: [("Version", "2010-05-08"), ("Action", "ListUsers")],
            headers: [
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("host", "iam.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
            ], bodyDigest: SHA256.digest(empty.span.bytes))
        let signature = AWSSignature(region: "us-east-1", service: "iam", at: instant)
        let digest = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        #expect(signature.stringToSign(request).hasSuffix(digest))
        let last = "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        #expect(signature.authorization(for: request, keys).hasSuffix(last))
    }

    @Test("prints no secret")
    func redacted() {
        let text = "\(keys) \(String(reflecting: keys))"
        #expect(!text.contains("wJalr"))
    }
}
