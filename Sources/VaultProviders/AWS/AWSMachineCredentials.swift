// Keys that the container's or the machine's own platform gives out.

import Primitives
import SecretVaults

/// The endpoint of ECS tasks and of EKS pod identities.
///
/// Source: "Container credential provider", AWS SDKs and Tools Reference Guide.
struct AWSContainerCredentials: AWSCredentialSource {
    enum Authorization: Sendable {
        case none
        case token(SecretBytes)
        /// Read anew for each call.
        case file(String)
    }

    let transport: any VaultTransport
    /// Path and query.
    let target: String
    let authorization: Authorization

    var name: String { "the container's endpoint" }
    var canRefresh: Bool { true }

    func credentials() throws(HoldfastError) -> AWSCredentials {
        var headers = [(name: "Accept", value: "application/json")]
        let token: SecretBytes?
        switch authorization {
        case .none: token = nil
        case .token(let given): token = given
        case .file(let path): token = try AWSCredentialFile.read(path)
        }
        if let token {
            let text = token.withBytes { String(decoding: $0, as: UTF8.self) }
            guard !text.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else {
                throw AWSCredentialFailure.refused(name, "its token has more than one line")
            }
            headers.append((name: "Authorization", value: text))
        }
        let answer = try transport.send(VaultRequest(.get, target, headers: headers))
        switch answer.status {
        case 200: return try AWSGivenCredentials.read(answer, from: name)
        case 429, 500...599:
            throw AWSCredentialFailure.unreachable(
                name, "it answered with status \(answer.status)", after: answer.retryAfter)
        default: throw AWSCredentialFailure.refused(name, "it answered with status \(answer.status)")
        }
    }
}

/// The metadata service of EC2 machines, version 2 alone: version 1 gives keys to whoever makes a program fetch a URL.
///
/// Source: "Use the Instance Metadata Service to access instance metadata", Amazon EC2 User Guide.
struct AWSInstanceCredentials: AWSCredentialSource {
    static let address = "http://169.254.169.254"
    private static let path = "/latest/meta-data/iam/security-credentials/"

    let transport: any VaultTransport

    var name: String { "the machine's metadata service" }
    var canRefresh: Bool { true }

    func credentials() throws(HoldfastError) -> AWSCredentials {
        do throws(HoldfastError) {
            return try credentials(in: try session(), isFirst: true)
        } catch  where error.retry == .now {
            // The service forgets sessions when it begins anew.
            return try credentials(in: try session(), isFirst: false)
        }
    }

    private func session() throws(HoldfastError) -> (name: String, value: String) {
        let ttl = (name: "X-aws-ec2-metadata-token-ttl-seconds", value: "300")
        let token = try ask(VaultRequest(.put, "/latest/api/token", headers: [ttl]), "a session")
        return (
            name: "X-aws-ec2-metadata-token", value: token.body.withBytes { String(decoding: $0, as: UTF8.self) }
        )
    }

    /// - Throws: with `retry: .now` where the service does not know the first session.
    private func credentials(
        in session: (name: String, value: String), isFirst: Bool
    ) throws(HoldfastError) -> AWSCredentials {
        let again = isFirst ? RetryClass.now : .never
        let roles = try ask(VaultRequest(.get, Self.path, headers: [session]), "the name of a role", unknown: again)
        let role = roles.body.withBytes { String(decoding: $0, as: UTF8.self) }
            .split(whereSeparator: \.isNewline).first.map { $0.trimmed }
        guard let role, !role.isEmpty else { throw AWSCredentialFailure.refused(name, "the machine has no role") }
        let path = Self.path + AWSForm.encoded(role)
        let answer = try ask(VaultRequest(.get, path, headers: [session]), "credentials", unknown: again)
        return try AWSGivenCredentials.read(answer, from: name)
    }

    /// - Parameter unknown: Of the failure that a session is not known.
    private func ask(
        _ request: VaultRequest, _ what: String, unknown: RetryClass = .never
    ) throws(HoldfastError) -> VaultAnswer {
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try transport.send(request)
        } catch {
            // Most often this is no machine of EC2, or a container one hop too far from it; it may as well just begin.
            throw AWSCredentialFailure.refused(
                name,
                "it does not answer. Not on EC2, set the variables of another way to log in; in a container, "
                    + "raise the hop limit of the machine's metadata service to 2", retry: .later)
        }
        switch answer.status {
        case 200: return answer
        case 404: throw AWSCredentialFailure.refused(name, "the machine has no role")
        case 401:
            throw AWSCredentialFailure.refused(name, "it is turned off, or does not give \(what)", retry: unknown)
        case 403: throw AWSCredentialFailure.refused(name, "it is turned off, or does not give \(what)")
        case 429, 500...599:
            throw AWSCredentialFailure.unreachable(
                name, "it answered with status \(answer.status)", after: answer.retryAfter)
        default: throw AWSCredentialFailure.refused(name, "it answered with status \(answer.status)")
        }
    }
}

/// The JSON that both give.
enum AWSGivenCredentials {
    static func read(_ answer: VaultAnswer, from source: String) throws(HoldfastError) -> AWSCredentials {
        var (code, keyID, expires): (String?, String?, Timestamp?) = (nil, nil, nil)
        var (secret, token): (SecretBytes?, SecretBytes?) = (nil, nil)
        do throws(HoldfastError) {
            try JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    switch key {
                    case "Code": code = try scanner.optionalString()
                    case "AccessKeyId": keyID = try scanner.optionalString()
                    case "Expiration": expires = try scanner.optionalString().flatMap { Timestamp(text: $0) }
                    case "SecretAccessKey":
                        var bytes = try scanner.stringBytes()
                        secret = SecretBytes(wiping: &bytes)
                    case "Token":
                        var bytes = try scanner.stringBytes()
                        token = SecretBytes(wiping: &bytes)
                    default: try scanner.skip()
                    }
                }
            }
        } catch {
            throw AWSCredentialFailure.senseless(source)
        }
        if let code, code != "Success" {
            throw AWSCredentialFailure.refused(source, "it says \(code.prefix(60).filter { $0.isLetter })")
        }
        guard let keyID, let secret, !keyID.isEmpty, secret.count > 0 else {
            throw AWSCredentialFailure.senseless(source)
        }
        return AWSCredentials(keyID: keyID, secret: secret, token: token, expires: expires)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
