// What nothing that runs over restored copies may see of what this host keeps.

import Configuring
import Glibc
import ObjectStore
import Primitives
import VaultProviders
import Workloads

extension CommandContext {
    /// Every file that the variables or the configuration name as a secret, also of other repositories and sources than
    /// those of this run, and every repository and mirror in a directory. What a password command names is among it.
    ///
    /// A configuration that cannot be read does not bar the drill of an incident: a warning says that what it names is
    /// in sight.
    func hiddenFromCopies() -> ScratchSecrets {
        var secrets = ScratchSecrets()
        secrets.keys =
            ["HOLDFAST_PASSWORD_FILE", "HOLDFAST_KEY_FILE", "HOLDFAST_VAULT_PASSWORD_FILE"]
            .compactMap { variables[$0] } + hashiCorpVariables.credentialFiles + awsEnvironment.credentialFiles
            + azureEnvironment.credentialFiles
        for name in ["HOLDFAST_PASSWORD_COMMAND", "HOLDFAST_VAULT_PASSWORD_COMMAND"] {
            guard let command = variables[name] else { continue }
            // A directory among the words could be one that a check needs.
            secrets.keys += WayIn.files(ofCommand: command).filter { !Self.isDirectory($0) }
        }
        do throws(HoldfastError) {
            if let configuration = try configuration() { configuration.addSecrets(to: &secrets) }
        } catch {
            output.warning("the keys and mirrors of the configuration are not hidden: \(ShownText.line(error.message))")
        }
        secrets.keys = secrets.keys.map { Host.absolutePath($0) }
        return secrets
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

extension Configuration {
    fileprivate func addSecrets(to secrets: inout ScratchSecrets) {
        var references = sources.flatMap(\.opensWith) + sources.compactMap(\.vaultPassword)
        references += rotations.compactMap { $0.postgres?.password }
        for notifier in notifiers { if case .webhook(_, let secret?) = notifier.way { references.append(secret) } }
        for repository in repositories {
            switch repository.opening {
            case .password(let reference): references.append(reference)
            case .rawKey(let path): secrets.keys.append(path)
            case .unsaid: break
            }
            for location in [repository.location] + repository.mirrors {
                guard case .local(let path)? = try? StoreLocation(location) else { continue }
                secrets.repositories.append(Host.absolutePath(path))
            }
        }
        for case .file(let path) in references { secrets.keys.append(path) }
    }
}
