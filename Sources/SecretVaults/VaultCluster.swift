// The storage of a whole vault, sealed as it lies there.

import Primitives

/// `https://HOST[:PORT]`, or `http://` to this machine alone, as it stands behind `raft:`.
package struct VaultClusterLocation: Sendable, Hashable, CustomStringConvertible {
    package let origin: WebAddress

    /// - Throws: `.usage` for what names no https host, or names more than a host.
    package init(_ text: String) throws(HoldfastError) {
        guard let origin = WebAddress(text.lowercasingHost) else {
            throw Self.refused(WebAddress.refusal(of: text) ?? "write https://HOST")
        }
        guard origin.path == "/" else { throw Self.refused("a path does not belong into it") }
        self.origin = origin
    }

    /// In one form for all ways to write it; a port that goes without saying is left out.
    package var description: String { origin.root }

    private static func refused(_ why: String) -> HoldfastError {
        HoldfastError(
            .usage, "this is no location of a cluster: \(why)",
            hint: "Write raft:https://HOST[:PORT]; docs/VAULTS.md has examples.")
    }
}

extension WebAddress {
    /// Without a path, and without a port that goes without saying.
    var root: String {
        let name = host.contains(":") ? "[\(host)]" : host
        let number = port == (isTLS ? 443 : 80) ? "" : ":\(port)"
        return "\(isTLS ? "https" : "http")://\(name)\(number)"
    }
}

/// A vault whose storage can be had and given back as a whole: Vault and OpenBao on raft.
///
/// What comes and goes are archives of the server's own: its storage as it lies on disk, sealed by the cluster's key,
/// which only its unseal keys open. Thread: every call blocks; any thread that may. Failures are those of
/// ``SecretInventory``.
package protocol VaultCluster: Sendable {
    /// For messages; holds no credential.
    var location: String { get }

    /// Looks whether the login works and may have the storage, or give it back.
    func preflight(toRestore: Bool) throws(HoldfastError) -> VaultPreflight

    /// Begins to read the storage as of now.
    func save() throws(HoldfastError) -> any VaultDownload

    /// Begins to put a storage in the place of the cluster's. Nothing is changed before ``VaultUpload/finish()``.
    ///
    /// - Parameter replacingKeys: Also one that was sealed by another cluster's keys; the cluster is sealed then, and
    ///   opens with those.
    func restore(replacingKeys: Bool) throws(HoldfastError) -> any VaultUpload
}

/// Bytes that come from a vault. Dropping it ends the call. Thread: one at a time.
package protocol VaultDownload: AnyObject, Sendable {
    /// At most the buffer's length; 0 at the end and only there.
    ///
    /// - Throws: `.vaultUnavailable` when the connection breaks off; `.interrupted`.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
}

/// Bytes that go to a vault. Dropping it before the end breaks the call off. Thread: one at a time.
package protocol VaultUpload: AnyObject, Sendable {
    /// - Throws: what the vault answers before it has all; `.interrupted`.
    func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError)

    /// Ends the bytes and waits for the answer.
    ///
    /// - Throws: `.targetFailed` when the vault refuses what it got, `.writeUnknown` when it does not answer;
    ///   `.interrupted` with the word that it may have taken what it got whole.
    func finish() throws(HoldfastError)

    /// Waits, after ``finish()``, until the vault has the storage in its place and answers again: some minutes at most.
    ///
    /// - Throws: `.interrupted`, with the word that the vault accepted the storage.
    func settle() throws(HoldfastError) -> VaultClusterStanding
}

/// How a vault stands that was given its storage.
package enum VaultClusterStanding: Sendable, Hashable {
    /// It is in place, and the vault answers.
    case active
    /// It is sealed, as one is whose storage another cluster's keys sealed, and as one that could not put the storage
    /// in place: only once it is unsealed it shows which of the two.
    case sealed
    /// It leads no more: another node does, which may have the old storage.
    case standby
    /// It answers, and does not say since when it leads: whether the storage is in place can't be told from here.
    case answering
    /// It did not answer as one that has it in place.
    case unseen
}
