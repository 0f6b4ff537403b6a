// The storage of Vault and OpenBao on raft.

import Primitives
import SecretVaults

/// A cluster of Vault or OpenBao that keeps its storage by raft (`sys/storage/raft/snapshot` of their HTTP API).
package final class RaftCluster: VaultCluster {
    /// The server gathers its storage before the first byte comes, and reads it in after the last.
    private static let silence = Duration.seconds(600)
    private static let path = HashiCorpPath("sys/storage/raft/snapshot")
    private static let forced = HashiCorpPath("sys/storage/raft/snapshot-force")
    /// What of an answer of failure is read.
    private static let mostOfFailure = 64 << 10

    private let transport: VaultHTTP
    private let client: KeyValueClient
    private let cancellation: Cancellation

    package var location: String { client.location }

    /// - Throws: what ``VaultHTTP`` throws.
    package init(
        _ place: VaultClusterLocation, _ options: HashiCorpOptions, clock: any Primitives.Clock,
        cancellation: Cancellation
    ) throws(HoldfastError) {
        var options = options
        // The storage is the whole server's, whatever namespace its secrets are in.
        options.namespace = nil
        options.http.readTimeout = Self.silence
        transport = try VaultHTTP(place.origin, options.http, clock: clock)
        let session = HashiCorpSession(
            transport, options, location: place.description, probe: HashiCorpPath("auth/token/lookup-self"),
            clock: clock)
        client = KeyValueClient(session: session, mount: "", clock: clock)
        self.cancellation = cancellation
    }

    package func preflight(toRestore: Bool) throws(HoldfastError) -> VaultPreflight {
        try client.preflight(
            toRestore
                ? [(.write, Self.path.text, "update"), (.write, Self.forced.text, "update")]
                : [(.read, Self.path.text, "read")])
    }

    // MARK: - Saving

    package func save() throws(HoldfastError) -> any VaultDownload {
        let request = VaultRequest(
            .get, Self.path.target, headers: try client.session.streamHeaders())
        let call = try transport.stream(request, cancellation)
        let head: (status: Int, headers: [String: String])
        switch try call.answer.head() {
        case .success(let found): head = found
        case .failure(let broken): throw client.session.unavailable(broken.words)
        }
        guard head.status == 200 else {
            throw try refusal(head, call, HashiCorpCall(Self.path, .read))
        }
        return RaftDownload(call, client.session)
    }

    /// What an answer of failure says; the call is over then.
    fileprivate func refusal(
        _ head: (status: Int, headers: [String: String]), _ call: StreamedCall, _ what: HashiCorpCall
    ) throws(HoldfastError) -> HoldfastError {
        let session = client.session
        let answer = VaultAnswer(
            status: head.status, headers: head.headers, body: try call.answer.rest(limit: Self.mostOfFailure))
        switch head.status {
        case 301, 302, 303, 307, 308:
            let other = head.headers["location"].flatMap { WebAddress($0) }
            return session.unavailable(
                "it sends callers to \(other.map { "\($0.host):\($0.port)" } ?? "another place"), as a standby does")
        case 404 where !session.isAbsent(answer), 405:
            return HoldfastError(
                .vaultNotFound, "the vault \(session.location) does not keep its storage by raft",
                hint: "Back its secrets up by `vault:https://HOST/MOUNT`, and its storage by that storage's own means.")
        case 404:
            return HoldfastError(
                .vaultNotFound, "the vault \(session.location) has no storage of raft to give",
                hint: "Look at `storage` of its configuration.")
        default: return session.failure(answer, what)
        }
    }

    // MARK: - Restoring

    package func restore(replacingKeys: Bool) throws(HoldfastError) -> any VaultUpload {
        let path = replacingKeys ? Self.forced : Self.path
        let body = BodyStream(on: transport.loop)
        let request = VaultRequest(
            .post, path.target, headers: try client.session.streamHeaders(), effect: .write)
        let call = try transport.stream(request, body: body, cancellation)
        return RaftUpload(call, body, self, HashiCorpCall(.post, path, .write, effect: .write), cancellation)
    }

    /// How the server took what it got.
    fileprivate func end(_ call: StreamedCall, _ what: HashiCorpCall) throws(HoldfastError) {
        let head: (status: Int, headers: [String: String])
        switch try call.answer.head() {
        case .success(let found): head = found
        case .failure(let broken):
            throw HoldfastError(
                .writeUnknown, "the vault \(location) did not answer a restore of its storage: \(broken.words)",
                hint: "It may have been done. Look at the vault with `bao status` before anything else.")
        }
        if head.status == 200 || head.status == 204 { return }
        // Which of these it is the server says in its own words: it has answered, and taken nothing.
        if head.status == 400 || head.status == 500 {
            let body = try call.answer.rest(limit: Self.mostOfFailure)
            let answer = VaultAnswer(status: head.status, headers: head.headers, body: body)
            throw refused((client.session.errors(in: answer) ?? []).joined(separator: "; "))
        }
        throw try refusal(head, call, what)
    }

    private func refused(_ words: String) -> HoldfastError {
        let isForeign =
            words.contains("cipher: message authentication failed") || words.contains("barrier")
            || words.contains("keyring") || words.contains("unseal")
        return HoldfastError(
            .targetFailed,
            "the vault \(location) refuses the storage"
                + (isForeign ? ", which another cluster's keys sealed" : "") + ": \(words.prefix(500))",
            hint: isForeign
                ? "Give --replace to restore it all the same; the vault is then unsealed with the keys of the old one."
                : "Read what it says; its log may say more.")
    }
}

private final class RaftDownload: VaultDownload {
    private let call: StreamedCall
    private let session: HashiCorpSession

    init(_ call: StreamedCall, _ session: HashiCorpSession) {
        self.call = call
        self.session = session
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        switch try call.answer.read(into: buffer) {
        case .success(let count): return count
        case .failure(let broken): throw session.unavailable("its storage came in part only: \(broken.words)")
        }
    }
}

private final class RaftUpload: VaultUpload {
    private let call: StreamedCall
    private let body: BodyStream
    private let cluster: RaftCluster
    private let what: HashiCorpCall
    private let cancellation: Cancellation

    init(
        _ call: StreamedCall, _ body: BodyStream, _ cluster: RaftCluster, _ what: HashiCorpCall,
        _ cancellation: Cancellation
    ) {
        self.call = call
        self.body = body
        self.cluster = cluster
        self.what = what
        self.cancellation = cancellation
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        try cancellation.check()
        guard !call.answer.isOver, body.write(bytes) else {
            try cluster.end(call, what)
            throw HoldfastError(
                .targetFailed, "the vault \(cluster.location) answered before it had the whole storage",
                hint: "See whether something between here and the vault answers in its place.")
        }
    }

    func finish() throws(HoldfastError) {
        body.finish(isWhole: true)
        try cluster.end(call, what)
    }
}
