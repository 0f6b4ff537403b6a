// What the refusals of Azure Key Vault mean.

import Primitives
import SecretVaults

/// What the service says in the body of a refusal: `{"error":{"code":…,"innererror":{"code":…}}}`.
///
/// A refusal without such a body is not the service's: a proxy, a gateway or a firewall answered in its place, and what
/// its status seems to say counts for nothing.
struct KeyVaultFault {
    let status: Int
    /// Nil for a refusal that is not the service's.
    private(set) var code: String?
    /// More exact where there is one.
    private(set) var inner: String?

    init(_ answer: VaultAnswer) {
        status = answer.status
        var (code, inner): (String?, String?) = (nil, nil)
        _ = try? JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
            try scanner.objects(of: "error") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "code": code = try scanner.optionalString()
                case "innererror" where scanner.next() == UInt8(ascii: "{"):
                    try scanner.members { (scanner, key) throws(HoldfastError) in
                        if key == "code" { inner = try scanner.optionalString() } else { try scanner.skip() }
                    }
                default: try scanner.skip()
                }
            }
        }
        (self.code, self.inner) = (code, inner)
    }

    /// What is said most exactly; letters and digits of it, for messages.
    var word: String { String((inner ?? code ?? "").prefix(60).filter { $0.isASCII && ($0.isLetter || $0.isNumber) }) }

    var refusal: KeyVaultRefusal? {
        guard let code else { return nil }
        switch (status, inner ?? code) {
        case (404, "SecretNotFound"), (404, "DeletedSecretNotFound"): return .notFound
        case (403, "SecretDisabled"): return .disabled
        case (409, "ObjectIsDeletedButRecoverable"): return .removed
        case (400, _): return .unfit
        default: return nil
        }
    }
}

extension AzureSession {
    func failure(_ fault: KeyVaultFault, _ answer: VaultAnswer, _ call: KeyVaultCall) -> HoldfastError {
        switch fault.status {
        case 429: return .vaultThrottled(location, after: answer.retryAfter)
        case 408, 500...599: return failed(fault, call)
        case 413:
            return HoldfastError(
                .limitExceeded, "\(location) takes no request of that size", hint: "A value has 25 KiB at most.")
        default: break
        }
        guard fault.code != nil else {
            return unavailable(
                "what answers \(call.path) with status \(fault.status) is not the vault", retry: .later)
        }
        switch (fault.status, fault.inner ?? "") {
        case (403, "ForbiddenByFirewall"), (403, "ForbiddenByConnection"):
            return HoldfastError(
                .vaultUnavailable, "the firewall of \(location) does not let this machine in (\(fault.word))",
                hint: "Allow this machine's address or network in the vault's networking, or use a private endpoint.")
        case (403, _): return .vaultAccessDenied(location, call.right, path: call.path)
        case (409, _):
            return unavailable("\(call.subject) is just being removed, recovered or changed (\(fault.word))")
        default:
            return unavailable(
                "it answered \(call.path) with status \(fault.status) (\(fault.word))", retry: .never)
        }
    }

    private func failed(_ fault: KeyVaultFault, _ call: KeyVaultCall) -> HoldfastError {
        guard call.effect == .write else { return unavailable("it failed with status \(fault.status)") }
        return HoldfastError(
            .writeUnknown, "Azure Key Vault failed while it did \(call.path) (status \(fault.status))",
            hint: "It may have been done. Look at the secret before anything else is written.")
    }

    func senseless(_ what: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(location) sent an answer that makes no sense: \(what)",
            hint: "See whether something between here and Azure answers in its place.")
    }

    func unavailable(_ what: String, retry: RetryClass = .later) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "Azure Key Vault can't be used at \(location): \(what)",
            hint:
                "Look at the vault's health and its networking, and at what is between here and there; then try again.",
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

    /// The path and the query of a link that leads to the next page, within this vault and this listing.
    ///
    /// - Throws: `.corruptObject` for a link to elsewhere: no token goes there.
    func target(of link: String, within path: String, after last: String) throws(HoldfastError) -> String {
        guard let next = WebAddress(link) else { throw senseless("a next page that is no address") }
        guard next.isTLS == origin.isTLS, next.host.lowercased() == origin.host, next.port == origin.port else {
            throw senseless(
                "a next page at another place, \(next.isTLS ? "https" : "http")://\(next.host):\(next.port)")
        }
        guard next.path.hasPrefix(path + "?"), next.path != last else {
            throw senseless("a next page that leads nowhere")
        }
        return next.path
    }
}

extension JSONScanner {
    /// Reads the members of the object under a key of an object; other members, and what is no object, are gone past.
    mutating func objects(
        of name: String, _ body: (inout JSONScanner, String) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try members { (scanner, key) throws(HoldfastError) in
            guard key == name, scanner.next() == UInt8(ascii: "{") else {
                try scanner.skip()
                return
            }
            try scanner.members(body)
        }
    }
}
