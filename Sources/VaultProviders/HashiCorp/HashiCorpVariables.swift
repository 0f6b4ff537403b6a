// Which login the environment names.

import Glibc
import Primitives
import SecretVaults

/// The variables of the environment that say how to come to Vault and OpenBao.
///
/// Where the vendors' own tools have a variable it is that one, by OpenBao's name before HashiCorp's. They have none
/// for AppRole and JWT, and those are ours.
package struct HashiCorpVariables: Sendable {
    private let value: @Sendable (String) -> String?
    private let secret: @Sendable (String) -> SecretBytes?

    /// - Parameter secret: Takes a secret out of the environment, so that no child sees it, and gives it again when it
    ///   is asked for again.
    package init(
        value: @escaping @Sendable (String) -> String?, secret: @escaping @Sendable (String) -> SecretBytes?
    ) {
        self.value = value
        self.secret = secret
    }

    /// Those that hold a credential themselves.
    package static let credentials = ["BAO_TOKEN", "VAULT_TOKEN"]
    private static let tokenFiles = ["BAO_TOKEN_FILE", "VAULT_TOKEN_FILE"]
    private static let roleID = "HOLDFAST_VAULT_ROLE_ID_FILE"
    private static let secretID = "HOLDFAST_VAULT_SECRET_ID_FILE"
    private static let jwt = "HOLDFAST_VAULT_JWT_FILE"
    private static let jwtRole = "HOLDFAST_VAULT_JWT_ROLE"
    private static let mount = "HOLDFAST_VAULT_AUTH_MOUNT"

    /// Takes all of these out of the environment.
    func takeCredentials() { for name in Self.credentials { _ = secret(name) } }

    /// Files that hold credentials: those that variables name, and the one that `bao login` writes.
    package var credentialFiles: [String] {
        (Self.tokenFiles + [Self.roleID, Self.secretID, Self.jwt]).compactMap { value($0) }
            + [ownTokenFile].compactMap { $0 }
    }

    private var ownTokenFile: String? {
        guard let home = value("HOME") else { return nil }
        return access(home + "/.vault-token", F_OK) == 0 ? home + "/.vault-token" : nil
    }

    /// - Throws: `.usage` when there is no login, half of one, or more than one; or for a number that is none.
    func options(for location: some CustomStringConvertible) throws(HoldfastError) -> HashiCorpOptions {
        var options = HashiCorpOptions(
            login: try login(for: location), namespace: value("BAO_NAMESPACE") ?? value("VAULT_NAMESPACE"))
        options.http.authorities = value("BAO_CACERT") ?? value("VAULT_CACERT")
        for name in ["BAO_RATE_LIMIT", "VAULT_RATE_LIMIT"] {
            guard options.http.callsPerSecond == nil, let text = value(name) else { continue }
            // `rate` or `rate:burst`; the burst is ours to choose.
            guard let rate = Double(text.prefix { $0 != ":" }), rate >= 1, rate <= 1e6 else {
                throw HoldfastError(
                    .usage, "\(name) is no number of calls in a second: `\(text)`",
                    hint: "Set it to a number from 1 on, such as 50, or unset it for any number.")
            }
            options.http.callsPerSecond = Int(rate)
        }
        return options
    }

    private func login(for location: some CustomStringConvertible) throws(HoldfastError) -> HashiCorpLogin {
        var found: [(name: String, login: HashiCorpLogin)] = []
        // Each is taken out of the environment, also the one that is not used.
        let tokens = Self.credentials.map { (name: $0, token: secret($0)) }
        if let first = tokens.first(where: { $0.token != nil }), let token = first.token {
            found.append((first.name, .token(token)))
        }
        if let name = Self.tokenFiles.first(where: { value($0) != nil }), let path = value(name) {
            found.append((name, .tokenFile(path)))
        }
        if let pair = try pair(Self.roleID, Self.secretID) {
            found.append(
                (Self.roleID, .appRole(roleID: pair.0, secretID: pair.1, mount: value(Self.mount) ?? "approle")))
        }
        if let pair = try pair(Self.jwtRole, Self.jwt) {
            found.append((Self.jwt, .jwt(role: pair.0, file: pair.1, mount: value(Self.mount) ?? "jwt")))
        }
        guard found.count <= 1 else {
            throw HoldfastError(
                .usage, "\(found.map(\.name).joined(separator: " and ")) are both set",
                hint: "Unset all but one way to log in at the vault.")
        }
        if let login = found.first?.login { return login }
        if let ownTokenFile { return .tokenFile(ownTokenFile) }
        throw HoldfastError(
            .usage, "there is no login for the vault \(location)",
            hint: "Set BAO_TOKEN or BAO_TOKEN_FILE, or \(Self.roleID) and \(Self.secretID), or \(Self.jwt) and "
                + "\(Self.jwtRole); docs/VAULTS.md says more.")
    }

    private func pair(_ first: String, _ second: String) throws(HoldfastError) -> (String, String)? {
        switch (value(first), value(second)) {
        case (nil, nil): return nil
        case (let one?, let other?): return (one, other)
        case (let one, _):
            let (given, missing) = one == nil ? (second, first) : (first, second)
            throw HoldfastError(.usage, "\(given) is set, and \(missing) is not", hint: "Set both, or neither.")
        }
    }
}
