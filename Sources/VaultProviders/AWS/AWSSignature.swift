// How requests to AWS are signed.

import Primitives
import Sealing
import SecretVaults

/// A request in the parts that its signature covers.
struct AWSRequest {
    var method = "POST"
    /// Encoded as it is sent; without a query.
    var path = "/"
    /// Encoded, unsorted.
    var query: [(name: String, value: String)] = []
    /// All of these are signed.
    var headers: [(name: String, value: String)]
    /// SHA-256 of the body, also of an empty one.
    var bodyDigest: Bytes32
}

/// Signature Version 4, `AWS4-HMAC-SHA256`, with the signature in a header.
///
/// Source: "AWS Signature Version 4 for API requests", AWS Identity and Access Management User Guide, sections "Create
/// a signed AWS API request" and "Elements of an AWS API request signature". The path is signed as it is sent, which is
/// enough for `/`.
struct AWSSignature {
    var region: String
    var service: String
    /// `20150830T123600Z`
    private let instant: String

    init(region: String, service: String, at instant: Timestamp) {
        self.region = region
        self.service = service
        self.instant = Self.text(instant)
    }

    /// The form that `X-Amz-Date` has.
    static func text(_ instant: Timestamp) -> String {
        String(instant.description.filter { $0 != "-" && $0 != ":" })
    }

    private var scope: String { "\(instant.prefix(8))/\(region)/\(service)/aws4_request" }

    /// The value of `Authorization`.
    func authorization(for request: AWSRequest, _ credentials: AWSCredentials) -> String {
        let signature = signature(of: stringToSign(request), credentials.secret)
        return "AWS4-HMAC-SHA256 Credential=\(credentials.keyID)/\(scope), "
            + "SignedHeaders=\(Self.signedHeaders(request)), Signature=\(signature)"
    }

    // MARK: - Steps

    static func canonical(_ request: AWSRequest) -> String {
        let query = request.query.sorted { ($0.name, $0.value) < ($1.name, $1.value) }
            .map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        let headers = sorted(request).map { "\($0.name):\($0.value)\n" }.joined()
        return [
            request.method, request.path, query, headers, signedHeaders(request), Hex.encode(request.bodyDigest.array),
        ].joined(separator: "\n")
    }

    func stringToSign(_ request: AWSRequest) -> String {
        let canonical = Array(Self.canonical(request).utf8)
        let digest = SHA256.digest(canonical.span.bytes)
        return ["AWS4-HMAC-SHA256", instant, scope, Hex.encode(digest.array)].joined(separator: "\n")
    }

    private static func signedHeaders(_ request: AWSRequest) -> String {
        sorted(request).map(\.name).joined(separator: ";")
    }

    private static func sorted(_ request: AWSRequest) -> [(name: String, value: String)] {
        request.headers.map { (name: $0.name.lowercased(), value: trimmed($0.value)) }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
    }

    /// Without spaces at the ends, and with one for each run of them within.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }

    private func signature(of text: String, _ secret: SecretBytes) -> String {
        var start = SecretBuffer()
        start.append("AWS4")
        secret.withBytes { start.append($0) }
        var key = start.taken()
        for part in [String(instant.prefix(8)), region, service, "aws4_request"] {
            let bytes = Array(part.utf8)
            let digest = KeyedHash.digest(key: key, bytes.span.bytes)
            key = digest.withBytes { SecretBytes(copying: RawSpan(_unsafeBytes: $0)) }
        }
        let bytes = Array(text.utf8)
        return Hex.encode(KeyedHash.digest(key: key, bytes.span.bytes).array)
    }
}
