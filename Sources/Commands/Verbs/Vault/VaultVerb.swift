// holdfast vault: the group of verbs about vaults of secrets themselves.

import ArgumentParser
import Primitives
import Repository
import SecretVaults
import State
import VaultProviders

struct VaultVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vault",
        abstract: "Make an embedded vault, put, list and read secrets of any vault, and guard their versions.",
        discussion: """
            VAULT is \(VaultAddress.form). `holdfast backup VAULT` takes a snapshot of all versions of all its \
            secrets, `holdfast restore SNAPSHOT --to VAULT` puts them back.

            The password of an embedded vault comes from HOLDFAST_VAULT_PASSWORD_FILE, \
            HOLDFAST_VAULT_PASSWORD_COMMAND or HOLDFAST_VAULT_PASSWORD, else from the terminal. The login at Vault or \
            OpenBao comes from the variables of their own tools, such as BAO_TOKEN; docs/VAULTS.md has them all.
            """,
        subcommands: [
            VaultInit.self, VaultPut.self, VaultList.self, VaultShow.self, VaultGet.self, VaultState.self,
            VaultRemove.self, VaultGuard.self, VaultPassword.self,
        ])
}

/// A vault as it is typed.
struct VaultArgument: ExpressibleByArgument, Sendable {
    private let rest: String

    init?(argument: String) {
        guard argument.hasPrefix("vault:") else { return nil }
        rest = String(argument.dropFirst(6))
    }

    func open(_ context: CommandContext, for use: VaultUse = VaultUse()) throws(HoldfastError) -> any SecretVault {
        try context.vaultOpener(for: use).open(
            try VaultAddress.read(rest), clock: context.clock, entropy: context.environment.entropy,
            cancellation: context.cancellation)
    }

    /// - Throws: `.usage` for a vault of another kind.
    func embeddedPath(toDo what: String) throws(HoldfastError) -> String {
        guard case .embedded(let path) = try VaultAddress.read(rest) else {
            throw HoldfastError(.usage, "only an embedded vault can \(what)", hint: "Use the vault's own tool.")
        }
        return path
    }
}

struct VaultInit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make an embedded vault.",
        discussion: """
            Without its password nobody can open it any more: keep it where the vault's fire does not reach, as the \
            repository's.

            Example:

              holdfast vault init vault:embedded:secrets.vault
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let path = try vault.embeddedPath(toDo: "be made")
            let made = try EmbeddedVault.create(
                at: path, password: try context.vaultPassword(confirming: true), clock: context.clock,
                entropy: context.environment.entropy)
            try context.output.line("made the vault \(made.id) at \(ShownText.name(path))")
            try context.output.json(VaultInitReport(vault: "vault:\(made.location)", id: made.id.description))
            return .success
        }
    }
}

/// `holdfast.vault-init/1`.
struct VaultInitReport: Encodable {
    let schema = "holdfast.vault-init/1"
    let vault, id: String

    private enum CodingKeys: String, CodingKey { case schema, vault, id }
}

struct VaultPassword: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "password",
        abstract: "Replace the password of an embedded vault.",
        discussion: """
            The new one opens the vault before the old one stops to. The key of the vault stays: whoever has an old \
            copy of the file and the old password still reads what was in it.

            Example:

              holdfast vault password vault:embedded:secrets.vault --new-password-file new-password
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("The vault.", valueName: "vault"))
    var vault: VaultArgument

    @Option(name: .long, help: ArgumentHelp("A file with the new password in its first line.", valueName: "file"))
    var newPasswordFile: String

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let path = try vault.embeddedPath(toDo: "be given a password")
            let old = try context.vaultPassword(confirming: false)
            let new = try SecretSource(context).password(fromFile: newPasswordFile).secret
            let opened = try EmbeddedVault.open(
                at: path, password: old, clock: context.clock, entropy: context.environment.entropy)
            try context.audited(AuditEntry(.changed, vault: opened.location, reason: audit.reason)) {
                () throws(HoldfastError) in try opened.changePassword(from: old, to: new)
            }
            try context.output.line("replaced the password of the vault \(opened.id)")
            try context.output.json(VaultInitReport(vault: "vault:\(opened.location)", id: opened.id.description))
            return .success
        }
    }
}
