// Keys for a signed token that the platform puts into a file.

import Primitives
import SecretVaults

/// AssumeRoleWithWebIdentity of AWS STS, as EKS's roles for service accounts use it.
///
/// Source: AWS STS API reference, version 2011-06-15. The call carries no signature: the token is the proof.
struct AWSWebIdentity: AWSCredentialSource {
    let transport: any VaultTransport
    let role: String
    /// Read anew for each login, since the platform writes a new token into it.
    let tokenFile: String
    let session: String

    var name: String { "the token in \(tokenFile), for the role \(role)" }
    var canRefresh: Bool { true }

    func credentials() throws(HoldfastError) -> AWSCredentials {
        let token = try AWSCredentialFile.read(tokenFile)
        var body = SecretBuffer()
        body.append("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=")
        body.append(AWSForm.encoded(role))
        body.append("&RoleSessionName=\(AWSForm.encoded(session))&WebIdentityToken=")
        AWSForm.append(token, to: &body)
        let answer = try transport.send(
            VaultRequest(
                .post, "/", headers: [(name: "Content-Type", value: "application/x-www-form-urlencoded")],
                body: body.taken()))
        guard answer.status == 200 else { throw failure(answer) }
        guard let keyID = XMLText.text(of: "AccessKeyId", in: answer.body),
            let secret = XMLText.bytes(of: "SecretAccessKey", in: answer.body),
            let token = XMLText.bytes(of: "SessionToken", in: answer.body)
        else { throw AWSCredentialFailure.senseless(name) }
        let expires = XMLText.text(of: "Expiration", in: answer.body).flatMap { Timestamp(text: $0) }
        return AWSCredentials(keyID: keyID, secret: secret, token: token, expires: expires)
    }

    private func failure(_ answer: VaultAnswer) -> HoldfastError {
        let kind = AWSSession.kind(of: answer)
        switch kind {
        case "ExpiredTokenException", "ExpiredToken":
            return AWSCredentialFailure.refused(name, "the token has expired")
        case "InvalidIdentityToken", "InvalidIdentityTokenException":
            return AWSCredentialFailure.refused(name, "the token is not of an issuer that the account trusts")
        case "AccessDenied", "AccessDeniedException":
            return AWSCredentialFailure.refused(name, "the role does not trust the token")
        case "IDPCommunicationError", "IDPCommunicationErrorException", "Throttling", "ThrottlingException":
            return AWSCredentialFailure.unreachable(name, "AWS STS said \(kind)", after: answer.retryAfter)
        default:
            if answer.status >= 500 || answer.status == 429 {
                return AWSCredentialFailure.unreachable(
                    name, "AWS STS answered with status \(answer.status)", after: answer.retryAfter)
            }
            return AWSCredentialFailure.refused(
                name, "AWS STS answered with status \(answer.status)\(kind.isEmpty ? "" : " (\(kind))")")
        }
    }
}

/// `application/x-www-form-urlencoded`
enum AWSForm {
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: "-_.~".utf8.contains(byte)
        }
    }

    static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            isPlain(byte) ? String(Unicode.Scalar(byte)) : "%" + Hex.encode([byte]).uppercased()
        }.joined()
    }

    static func append(_ secret: SecretBytes, to body: inout SecretBuffer) {
        secret.withBytes { raw in
            for byte in raw {
                if isPlain(byte) {
                    withUnsafeBytes(of: byte) { body.append($0) }
                } else {
                    body.append("%" + Hex.encode([byte]).uppercased())
                }
            }
        }
    }
}

/// Files that hold a token.
enum AWSCredentialFile {
    static let maximumSize = 64 << 10

    /// The file's text without the line end.
    ///
    /// - Throws: `.configuration` for one that can't be read, is empty or too large.
    static func read(_ path: String) throws(HoldfastError) -> SecretBytes {
        let file = try SecretFile.read(path, limit: maximumSize)
        let text = file.bytes.withBytes { raw in
            var end = raw.count
            while end > 0, [0x0A, 0x0D, 0x20].contains(raw[end - 1]) { end -= 1 }
            return SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[..<end])))
        }
        guard !file.isLonger, text.count > 0 else {
            throw HoldfastError(
                .configuration, "\(path) holds no token", hint: "Name the file into which the platform writes it.")
        }
        return text
    }
}

/// Failures of the ways to credentials, in one wording.
enum AWSCredentialFailure {
    static func refused(_ source: String, _ what: String, retry: RetryClass = .never) -> HoldfastError {
        HoldfastError(
            .vaultLoginFailed, "no credentials for AWS from \(source): \(what)",
            hint: "docs/VAULTS.md has the ways to log in, and what each needs.", retry: retry)
    }

    /// - Parameter wait: How long it is to be left alone.
    static func unreachable(_ source: String, _ what: String, after wait: Duration? = nil) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "no credentials for AWS from \(source): \(what)",
            hint: "Check the network and whoever gives out the credentials, then try again.", retry: .later
        ).asking(for: wait)
    }

    static func senseless(_ source: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(source) gave credentials for AWS that make no sense",
            hint: "See whether something else answers in its place.")
    }
}
