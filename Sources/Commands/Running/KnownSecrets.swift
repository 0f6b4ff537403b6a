// The secrets that a process hands on or could, so that what its children print of them is not kept.

import Configuring
import Glibc
import Primitives
import VaultProviders

extension CommandContext {
    private static let maximumSecret = 4096

    /// Knows the secrets of this process: those of its environment, and those that the configuration names. What cannot
    /// be read is not known.
    var scrubber: SecretScrubber {
        var known = [inheritedPassword, inheritedVaultPassword].compactMap { $0 }
        for name in ["HOLDFAST_PASSWORD_FILE", "HOLDFAST_KEY_FILE", "HOLDFAST_VAULT_PASSWORD_FILE"] {
            if let path = variables[name] { known += Self.secrets(inFile: path) }
        }
        // Copied and not taken: the steps that log in at a vault inherit them.
        let names = HashiCorpVariables.credentials + AWSEnvironment.credentials + AzureEnvironment.credentials
        known += names.compactMap { variables[$0] }.map { text in
            SecretBytes(copying: Array(text.utf8).span.bytes)
        }
        let paths =
            hashiCorpVariables.credentialFiles + awsEnvironment.credentialFiles + azureEnvironment.credentialFiles
        for path in paths { known += Self.secrets(inFile: path) }
        let configuration = try? configuration()
        for repository in configuration?.repositories ?? [] {
            switch repository.opening {
            case .unsaid: continue
            case .rawKey(let path): known += Self.secrets(inFile: path)
            case .password(let reference): known += secrets(reference)
            }
        }
        for source in configuration?.sources ?? [] { known += source.vaultPassword.map { secrets($0) } ?? [] }
        for rotation in configuration?.rotations ?? [] {
            known += rotation.postgres?.password.map { secrets($0) } ?? []
        }
        for notifier in configuration?.notifiers ?? [] {
            if case .webhook(_, let reference?) = notifier.way { known += secrets(reference) }
        }
        return SecretScrubber(known: known)
    }

    private func secrets(_ reference: SecretReference) -> [SecretBytes] {
        switch reference {
        case .environment(let name): [variables.secret(name)].compactMap { $0 }
        case .file(let path): Self.secrets(inFile: path)
        }
    }

    /// The first line of a file, which a password is, and all of it, which a key is.
    private static func secrets(inFile path: String) -> [SecretBytes] {
        var status = stat()
        // What is in a pipe is gone once it was read, and whoever needs it comes later.
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            let file = try? SecretFile.read(path, limit: maximumSecret), !file.isLonger
        else { return [] }
        let line = file.bytes.withBytes { raw in
            var bytes = Array(raw.prefix { $0 != 10 && $0 != 13 })
            return SecretBytes(wiping: &bytes)
        }
        return line.count == file.bytes.count ? [line] : [line, file.bytes]
    }
}
