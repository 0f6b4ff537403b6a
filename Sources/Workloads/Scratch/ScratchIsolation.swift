// How what runs in a scratch environment is kept from the network and from rights.

import Glibc
import Primitives

/// The user and the network of what runs over a restored copy.
package struct ScratchIsolation: Sendable {
    /// Whether programs get a network namespace without interfaces.
    package let deniesNetwork: Bool
    private let withoutNetwork: [String]

    /// Tries whether the right exists.
    ///
    /// - Throws: `.interrupted`.
    package init(_ context: WorkloadContext) throws(HoldfastError) {
        withoutNetwork = try ServerUser.withoutNetwork(context)
        deniesNetwork = !withoutNetwork.isEmpty
    }

    /// As the evidence says it.
    package var network: String { deniesNetwork ? "namespace" : "open: no right to make a network namespace" }

    /// The user that programs run as over a copy below `directory`.
    ///
    /// - Throws: `.targetFailed` for root on a machine without another user to be.
    package static func account(for directory: String) throws(HoldfastError) -> String {
        let user = try ServerUser(for: directory)
        return user.name.isEmpty ? "\(user.number)" : user.name
    }

    /// Gives all in `directory` to the user that programs run as, and then lets that user pass through it, and nobody
    /// else. The directory itself stays ours, so that its names mean what they meant.
    ///
    /// - Precondition: Nobody else gets into it before.
    package static func handOver(_ directory: String) throws(HoldfastError) {
        let user = try ServerUser(for: directory)
        for name in ScratchTree.names(in: directory).sorted() { try user.own("\(directory)/\(name)", isClosed: true) }
        try user.admit(to: directory)
    }

    /// The words that start `words` as the owner of `directory`, without network, and that end them with us.
    func words(_ words: [String], for directory: String) throws(HoldfastError) -> [String] {
        let user = try ServerUser(for: directory)
        guard user.reaches(directory) else {
            throw HoldfastError(
                .targetFailed, "the user \(user.name), as whom programs run, cannot get to \(directory)",
                hint: "Name a scratch directory whose parents everybody may pass with --scratch.")
        }
        let prefix = user.prefix
        guard !prefix.isEmpty else { return withoutNetwork + ["setpriv", "--no-new-privs"] + Self.ending + words }
        return withoutNetwork + prefix.dropLast() + Self.ending + words
    }

    private static let ending = ["--pdeathsig", "KILL", "--"]
}
