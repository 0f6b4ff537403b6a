// What the refusals of AWS mean.

import Primitives
import SecretVaults

extension AWSSession {
    /// The service's name for what went wrong, such as `ThrottlingException`; empty when there is none.
    ///
    /// It stands in a header, in the JSON as `__type` or `code`, perhaps after a namespace and `#`, or in XML where a
    /// layer before the service answers. The status does not tell: most are 400.
    static func kind(of answer: VaultAnswer) -> String {
        let found =
            answer.headers["x-amzn-errortype"] ?? type(in: answer.body) ?? XMLText.text(of: "Code", in: answer.body)
        let name = (found ?? "").split(separator: "#").last.map(String.init) ?? ""
        return String(name.prefix { $0 != ":" }.prefix(100))
    }

    private static func type(in body: SecretBytes) -> String? {
        var found: String?
        _ = try? JSONScanner.read(body) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                guard key == "__type" || key == "code", scanner.next() == UInt8(ascii: "\"") else {
                    try scanner.skip()
                    return
                }
                found = try scanner.string()
            }
        }
        return found
    }

    static func refusal(_ kind: String) -> AWSRefusal? {
        switch kind {
        case "ResourceNotFoundException": .notFound
        case "ResourceExistsException": .exists
        case "InvalidRequestException": .invalidRequest
        case "InvalidParameterException", "ValidationException": .invalidParameter
        default: nil
        }
    }

    /// Whether a clock may be at fault. `InvalidSignatureException` is also said of a wrong key.
    static func isAboutTime(_ kind: String) -> Bool {
        switch kind {
        case "RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch": true
        default: false
        }
    }

    /// Whether other keys may help.
    static func isAboutKeys(_ kind: String) -> Bool {
        switch kind {
        case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId",
            "InvalidAccessKeyId", "InvalidSignatureException", "SignatureDoesNotMatch":
            true
        default: false
        }
    }

    func failure(_ kind: String, _ answer: VaultAnswer, _ call: AWSCall) -> HoldfastError {
        switch kind {
        case "AccessDeniedException", "AccessDenied", "UnauthorizedOperation":
            return .vaultAccessDenied(location, call.right, path: call.path)
        case "DecryptionFailure", "EncryptionFailure", "DecryptionFailureException", "EncryptionFailureException":
            return keyFailed(call)
        case "ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException",
            "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException":
            return .vaultThrottled(location, after: answer.retryAfter)
        case "ExpiredTokenException", "ExpiredToken": return loginFailed("the credentials have expired")
        case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId":
            return loginFailed("it does not know the access key or the session token")
        case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature",
            "IncompleteSignatureException":
            return loginFailed("the signature is wrong, which a wrong secret access key explains")
        case "RequestTimeTooSkewed", "RequestExpired": return loginFailed("this machine's clock is not the service's")
        case "MissingAuthenticationToken", "MissingAuthenticationTokenException", "OptInRequired",
            "NotAuthorized":
            return loginFailed("the account may not use the service in this region")
        case "LimitExceededException":
            return HoldfastError(
                .limitExceeded, "\(call.path) is over a quota of AWS at \(location)",
                hint: "A secret has 20 staging labels over all its versions, and about 100 versions; raise no quota of "
                    + "those, remove labels.")
        case "InvalidNextTokenException":
            return unavailable("a listing took too long and has to begin again", retry: .never)
        default: return failure(status: answer, call, kind)
        }
    }

    private func failure(status answer: VaultAnswer, _ call: AWSCall, _ kind: String) -> HoldfastError {
        switch answer.status {
        case 429: return .vaultThrottled(location, after: answer.retryAfter)
        case 403: return .vaultAccessDenied(location, call.right, path: call.path)
        case 413:
            return HoldfastError(
                .limitExceeded, "\(location) takes no request of that size", hint: "A value has 64 KiB at most.")
        case 500...599:
            guard call.effect == .write else { return unavailable("it failed with status \(answer.status)") }
            return HoldfastError(
                .writeUnknown, "AWS failed while it did \(call.path) (status \(answer.status))",
                hint: "It may have been done. Look at the secret before anything else is written.")
        default:
            let what = kind.isEmpty ? "" : " (\(kind))"
            return unavailable("it answered \(call.path) with status \(answer.status)\(what)", retry: .never)
        }
    }

    /// The secret is there, and AWS KMS does not open or close it for this login.
    private func keyFailed(_ call: AWSCall) -> HoldfastError {
        HoldfastError(
            .vaultAccessDenied, "AWS KMS did not let \(call.path) use the secret's key",
            hint: "See whether the key is enabled, is not to be deleted, and has a policy that lets this login use it.",
            context: [("path", call.path)])
    }

    func loginFailed(_ what: String) -> HoldfastError {
        HoldfastError(
            .vaultLoginFailed, "AWS Secrets Manager refuses the login at \(location): \(what)",
            hint: "The credentials come from \(credentialsName). docs/VAULTS.md has the ways to log in.")
    }

    func senseless(_ what: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(location) sent an answer that makes no sense: \(what)",
            hint: "See whether something between here and AWS answers in its place.")
    }

    func unavailable(_ what: String, retry: RetryClass = .later) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "AWS Secrets Manager can't be used at \(location): \(what)",
            hint: "Look at the region's health, and whether the name of the region is right, then try again.",
            retry: retry)
    }

    /// Runs `body` over an answer's JSON.
    func read<R>(
        _ answer: VaultAnswer, _ body: (inout JSONScanner) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try JSONScanner.read(answer.body, body)
        } catch {
            throw error.with("vault", location)
        }
    }
}
