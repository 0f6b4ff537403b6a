// What the answers of Vault and OpenBao mean.

import Primitives
import SecretVaults

extension HashiCorpSession {
    /// Lets through what callers understand: success, 404, and what is refused of a write.
    ///
    /// A 400 to a reading says nothing of what is there: a mount that is being made ready for versions answers so to
    /// everything, and has done nothing.
    func checked(_ answer: VaultAnswer, _ call: HashiCorpCall) throws(HoldfastError) -> VaultAnswer {
        switch answer.status {
        case 200..<300, 404: return answer
        case 400 where isUpgrading(answer): throw unavailable("its mount is being made ready for versions")
        case 400 where call.effect == .write: return answer
        default: throw failure(answer, call)
        }
    }

    /// The words of the plugin `kv` and of those that wait for another server to be through with it.
    private func isUpgrading(_ answer: VaultAnswer) -> Bool {
        errors(in: answer)?.contains { $0.lowercased().contains("from non-versioned to versioned data") } == true
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

    /// What stands under `errors`; nil for an answer that is no JSON object, or has no such list.
    func errors(in answer: VaultAnswer) -> [String]? {
        var found: [String]?
        let isWhole: Void? = try? JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                guard key == "errors", scanner.next() == UInt8(ascii: "[") else {
                    try scanner.skip()
                    return
                }
                var list: [String] = []
                try scanner.elements { (scanner) throws(HoldfastError) in list.append(try scanner.string()) }
                found = list
            }
        }
        return isWhole == nil ? nil : found
    }

    /// Whether a 404 means that a thing is not there. Vault and OpenBao say so by an empty list of errors; a mount that
    /// is gone, and whatever stands before the server and knows no such path, say something else.
    func isAbsent(_ answer: VaultAnswer) -> Bool { answer.status == 404 && errors(in: answer)?.isEmpty == true }

    private func isSealed(_ answer: VaultAnswer) -> Bool {
        errors(in: answer)?.contains { $0.lowercased().contains("sealed") } == true
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
