// Where the password of an embedded vault comes from, and the login at others.

import Configuring
import Primitives
import SecretVaults
import Synchronization
import VaultProviders

extension CommandContext {
    static let vaultPasswordVariables = [
        "HOLDFAST_VAULT_PASSWORD_FILE", "HOLDFAST_VAULT_PASSWORD_COMMAND", "HOLDFAST_VAULT_PASSWORD",
    ]

    /// What opens vaults, with the audit log in front of each; the password is asked for once, when one is opened.
    ///
    /// - Parameters:
    ///   - reference: What the configuration says of the source.
    ///   - use: What the audit log says of accesses.
    func vaultOpener(_ reference: SecretReference? = nil, for use: VaultUse = VaultUse()) -> any VaultOpener {
        let known = Mutex<SecretBytes?>.Shared()
        let context = self
        let login = VaultLogin(
            password: { () throws(HoldfastError) in
                if let password = known.mutex.withLock({ $0 }) { return password }
                let password = try context.vaultPassword(reference, confirming: false)
                known.mutex.withLock { $0 = password }
                return password
            }, variables: hashiCorpVariables, aws: awsEnvironment, azure: azureEnvironment)
        return AuditingOpener(login, context, for: use)
    }

    var hashiCorpVariables: HashiCorpVariables {
        HashiCorpVariables(value: { [variables] in variables[$0] }, secret: { [variables] in variables.secret($0) })
    }

    var awsEnvironment: AWSEnvironment {
        AWSEnvironment(value: { [variables] in variables[$0] }, secret: { [variables] in variables.secret($0) })
    }

    var azureEnvironment: AzureEnvironment {
        AzureEnvironment(value: { [variables] in variables[$0] }, secret: { [variables] in variables.secret($0) })
    }

    /// - Parameter confirming: Ask twice on a terminal, for a password that is new.
    /// - Throws: `.usage` when there is no source, or more than one; `.configuration` when the one named gives nothing.
    func vaultPassword(_ reference: SecretReference? = nil, confirming: Bool) throws(HoldfastError) -> SecretBytes {
        let names = Self.vaultPasswordVariables
        let given = names.filter { $0 == names[2] ? inheritedVaultPassword != nil : variables[$0] != nil }
        guard given.count <= 1 else {
            throw HoldfastError(
                .usage, "\(given.joined(separator: " and ")) are both set", hint: "Unset all but one.")
        }
        let source = SecretSource(self)
        if let path = variables[names[0]] { return try source.password(fromFile: path).secret }
        if let command = variables[names[1]] { return try source.password(fromCommand: command, of: names[1]).secret }
        if let inheritedVaultPassword { return inheritedVaultPassword }
        switch reference {
        case .file(let path): return try source.password(fromFile: path).secret
        case .environment(let name):
            guard let secret = variables.secret(name) else {
                throw HoldfastError(
                    .configuration, "the variable \(name), which should hold the password of the vault, is not set",
                    hint: "Set it for holdfast alone, or let the configuration name a file.")
            }
            return secret
        case nil: break
        }
        guard let typed = try source.asked("password of the vault: ", confirming: confirming) else {
            throw HoldfastError(
                .usage, "there is no password of the vault, and no terminal to ask for it",
                hint: "Set \(names[0]), \(names[1]) or \(names[2]), or `vaultPassword` of the source.")
        }
        return typed
    }
}

extension Mutex where Value == SecretBytes? {
    /// A mutex that closures share.
    fileprivate final class Shared: Sendable {
        let mutex = Mutex<SecretBytes?>(nil)
    }
}
