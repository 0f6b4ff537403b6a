// What the answers of Vault and OpenBao mean.

import Primitives
import SecretVaults

extension HashiCorpSession {
    /// Lets through what callers understand: success, 404, and a 400.
    func checked(_ answer: VaultAnswer, _ call: HashiCorpCall) throws(HoldfastError) -> VaultAnswer {
        if (200..<300).contains(answer.status) || answer.status == 404 || answer.status == 400 { return answer }
        throw failure(answer, call)
    }

    func failure(_ answer: VaultAnswer, _ call: HashiCorpCall) -> HoldfastError {
        switch answer.status {
        case 403: return denied(call)
        case 429: return .vaultThrottled(location, after: answer.retryAfter)
        case 405, 404: return unavailable("it knows no \(call.method.rawValue) of \(call.path)", retry: .never)
        case 413:
            return HoldfastError(
                .limitExceeded, "the vault \(location) takes no request of that size for \(call.path)",
                hint: "Make the value smaller, or raise `max_request_size` of the vault's listener.")
        case 412: return unavailable("it has not yet seen the newest write")
        case 472, 473: return unavailable("it is a standby")
        case 501: return sealed("not initialised")
        case 503 where isSealed(answer): return sealed("sealed")
        case 500...599:
            if call.effect == .write {
                return HoldfastError(
                    .writeUnknown, "the vault \(location) failed while it wrote \(call.path) (status \(answer.status))",
                    hint: "It may have been done. Look at the secret before anything else is written.")
            }
            return unavailable("it failed with status \(answer.status) at \(call.path)")
        default: return unavailable("it answered \(call.path) with status \(answer.status)", retry: .never)
        }
    }

    func denied(_ call: HashiCorpCall) -> HoldfastError {
        .vaultAccessDenied(location, call.right, path: call.path.text)
    }

    func loginFailed(_ what: String) -> HoldfastError {
        HoldfastError(
            .vaultLoginFailed, "the vault \(location) refuses the login: \(what)",
            hint: "Get a new token or new credentials; docs/VAULTS.md has the ways to log in.")
    }

    func senseless(_ what: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "the vault \(location) sent an answer that makes no sense: \(what)",
            hint: "See whether something between here and the vault answers in its place.")
    }

    func unavailable(_ what: String, retry: RetryClass = .later) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "the vault \(location) can't be used: \(what)",
            hint: "Look at the vault's state with `bao status`, then try again.", retry: retry)
    }

    func sealed(_ how: String) -> HoldfastError {
        HoldfastError(
            .vaultSealed, "the vault \(location) is \(how)", hint: "Unseal it, then try again.", retry: .later)
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

    /// What stands under `errors`; an answer that is no JSON has none.
    func errors(in answer: VaultAnswer) -> [String] {
        var found: [String] = []
        _ = try? JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                guard key == "errors" else {
                    try scanner.skip()
                    return
                }
                try scanner.elements { (scanner) throws(HoldfastError) in found.append(try scanner.string()) }
            }
        }
        return found
    }

    /// Whether a 404 means that a thing is not there, and not that nothing is mounted there.
    func isAbsent(_ answer: VaultAnswer) -> Bool { answer.status == 404 && errors(in: answer).isEmpty }

    private func isSealed(_ answer: VaultAnswer) -> Bool {
        errors(in: answer).contains { $0.lowercased().contains("sealed") }
    }
}

extension JSONScanner {
    /// Reads an object and in it the object under `name`, whose members `body` reads; null there is nothing.
    mutating func members(
        of name: String, _ body: (inout JSONScanner, String) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try members { (scanner, key) throws(HoldfastError) in
            if key != name || scanner.next() == UInt8(ascii: "n") {
                try scanner.skip()
            } else {
                try scanner.members(body)
            }
        }
    }

    /// A string that may be null.
    mutating func optionalString() throws(HoldfastError) -> String? { try null() ? nil : try string() }

    /// An instant in RFC 3339; nil for null and for an empty string.
    mutating func instant() throws(HoldfastError) -> Timestamp? {
        guard let text = try optionalString(), !text.isEmpty else { return nil }
        return Timestamp(text: text)
    }
}
