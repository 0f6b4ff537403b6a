// How Holdfast logs in at Vault or OpenBao.

import Primitives
import SecretVaults

/// A way to a token. Files are read anew at each login, since agents and Kubernetes renew them in place.
package enum HashiCorpLogin: Sendable {
    /// A token from the environment; it can be renewed, but not had again.
    case token(SecretBytes)
    case tokenFile(String)
    /// AppRole, with its two halves in files.
    case appRole(roleID: String, secretID: String, mount: String = "approle")
    /// JWT or Kubernetes, with the signed token in a file.
    case jwt(role: String, file: String, mount: String = "jwt")

    /// What a file of a credential may hold.
    static let maximumCredential = 64 << 10

    /// Whether there is a point in logging in again when the token is dead.
    var canRepeat: Bool { if case .token = self { false } else { true } }

    /// Reads a file with one credential, without the line's end.
    ///
    /// - Parameter mayBeOpen: For a signed token: Kubernetes writes those with mode 644 into a volume that nobody can
    ///   change, unless the pod has an `fsGroup`.
    /// - Throws: `.configuration` for a file that can't be read, is empty, too long, or open to everybody.
    static func credential(_ path: String, mayBeOpen: Bool = false) throws(HoldfastError) -> SecretBytes {
        let file = try SecretFile.read(path, limit: maximumCredential)
        guard mayBeOpen || !file.isWorldReadable else {
            throw HoldfastError(
                .configuration, "\(path) can be read by everybody", hint: "Take that right away: `chmod o-r`.")
        }
        let trimmed = file.bytes.withBytes { raw in
            var end = raw.count
            while end > 0, raw[end - 1] == 0x0A || raw[end - 1] == 0x0D || raw[end - 1] == 0x20 { end -= 1 }
            return SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[..<end])))
        }
        guard trimmed.count > 0, !file.isLonger else {
            throw HoldfastError(
                .configuration, "\(path) holds no credential",
                hint: "Put one credential on one line into it, of \(maximumCredential) bytes at most.")
        }
        return trimmed
    }
}

/// Where a mount is and how to come to it.
package struct HashiCorpOptions: Sendable {
    package var login: HashiCorpLogin
    /// `X-Vault-Namespace`, such as `team1` or `team1/db`.
    package var namespace: String?
    package var http = VaultHTTPOptions()

    package init(login: HashiCorpLogin, namespace: String? = nil) {
        self.login = login
        self.namespace = namespace
    }
}
