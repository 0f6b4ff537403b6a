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
    /// One look at a server that puts its storage in place; it answers nothing in that time.
    private static let glance = Duration.seconds(10)
    /// How long it has to stand as it does: what passes by is not taken for the end.
    private static let steady = Duration.seconds(5)
    /// All looks together.
    private static let longestSettling = Duration.seconds(300)

    private let transport: VaultHTTP
    /// For looks that are made again and again.
    private let looking: VaultHTTP
    private let client: KeyValueClient
    private let cancellation: Cancellation
    private let clock: any Primitives.Clock

    package var location: String { client.location }

    /// - Throws: what ``VaultHTTP`` throws.
    package init(
        _ place: VaultClusterLocation, _ options: HashiCorpOptions, clock: any Primitives.Clock,
        cancellation: Cancellation
    ) throws(HoldfastError) {
        var options = options
        // The storage is the whole server's, whatever namespace its secrets are in.
        options.namespace = nil
        var brief = options.http
        brief.readTimeout = Self.glance
        looking = try VaultHTTP(place.origin, brief, clock: clock)
        options.http.readTimeout = Self.silence
        transport = try VaultHTTP(place.origin, options.http, clock: clock)
        let session = HashiCorpSession(
            transport, options, location: place.description, probe: HashiCorpPath("auth/token/lookup-self"),
            clock: clock)
        client = KeyValueClient(session: session, mount: "", clock: clock)
        self.cancellation = cancellation
        self.clock = clock
    }

    package func preflight(toRestore: Bool) throws(HoldfastError) -> VaultPreflight {
        do throws(HoldfastError) {
            return try client.preflight(
                toRestore
                    ? [(.write, Self.path.text, "update"), (.write, Self.forced.text, "update")]
                    : [(.read, Self.path.text, "read")])
        } catch {
            // A token without the `default` policy may ask nothing about itself, and looks dead; the call will tell.
            guard error.code == .vaultLoginFailed else { throw error }
            var found = VaultPreflight()
            found.untold = toRestore ? [.write] : [.read]
            return found
        }
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
        if [301, 302, 303, 307, 308].contains(head.status) {
            let other = head.headers["location"].flatMap { WebAddress($0) }
            return session.unavailable(
                "it sends callers to \(other.map { "\($0.host):\($0.port)" } ?? "another place"), as a standby does")
        }
        let answer = VaultAnswer(
            status: head.status, headers: head.headers, body: try call.answer.rest(limit: Self.mostOfFailure))
        switch head.status {
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
        let headers = try client.session.streamHeaders()
        let before = try leadership()
        let body = BodyStream(on: transport.loop)
        let request = VaultRequest(
            .post, path.target, headers: headers, effect: .write)
        let call = try transport.stream(request, body: body, cancellation)
        return RaftUpload(call, body, self, HashiCorpCall(.post, path, .write, effect: .write), clock, since: before)
    }

    // MARK: - After a restore

    /// Asks what needs no login. Nil when nothing usable comes.
    private func glance(_ path: String) throws(HoldfastError) -> (status: Int, body: SecretBytes)? {
        let call = try looking.stream(VaultRequest(.get, HashiCorpPath(path).target), cancellation)
        guard case .success(let head) = try call.answer.head() else { return nil }
        return (head.status, try call.answer.rest(limit: Self.mostOfFailure))
    }

    /// Since when the server leads, in its own words, which change when it takes up a storage; nil when it does not
    /// say, and when it does not lead.
    private func leadership() throws(HoldfastError) -> String? {
        guard let answer = try glance("sys/leader"), answer.status == 200 else { return nil }
        var (time, leads) = (String?.none, false)
        do throws(HoldfastError) {
            try JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    switch key {
                    case "active_time": time = try scanner.optionalString()
                    case "is_self": leads = try scanner.bool()
                    default: try scanner.skip()
                    }
                }
            }
        } catch {
            guard error.code != .interrupted else { throw error }
            return nil
        }
        return leads ? time : nil
    }

    /// Looks again and again how it stands.
    ///
    /// The server answers an upload before it has read it in, keeps every call waiting while it does, and leads anew
    /// afterwards, or is sealed when the storage is another cluster's. What it says right after its answer is still of
    /// what was before.
    fileprivate func settle(since before: String?) throws(HoldfastError) -> VaultClusterStanding {
        let limit = clock.uptime() + Self.longestSettling
        var pause = Duration.milliseconds(50)
        var (last, first) = (VaultClusterStanding.unseen, clock.uptime())
        while clock.uptime() < limit {
            try cancellation.check()
            let now = try standing(since: before)
            if now == .active { return .active }
            if now != last { (last, first) = (now, clock.uptime()) }
            if now != .unseen, clock.uptime() - first >= Self.steady { return now }
            clock.sleep(for: pause, unless: cancellation)
            pause = min(pause * 2, .seconds(1))
        }
        return .unseen
    }

    private func standing(since before: String?) throws(HoldfastError) -> VaultClusterStanding {
        // A status alone may be that of something in front of the server.
        guard let answer = try glance("sys/health"), let health = try RaftHealth(answer.body) else { return .unseen }
        switch answer.status {
        case 200 where !health.isSealed && !health.isStandby:
            guard let before else { return .answering }
            return try leadership().map { $0 == before ? .unseen : .active } ?? .unseen
        case 429 where health.isStandby, 473 where health.isStandby, 472 where !health.isSealed: return .standby
        case 503 where health.isSealed: return .sealed
        default: return .unseen
        }
    }

    /// How the server took what it got.
    ///
    /// - Parameter isWhole: It got all.
    fileprivate func end(_ call: StreamedCall, _ what: HashiCorpCall, isWhole: Bool) throws(HoldfastError) {
        let head: (status: Int, headers: [String: String])
        switch try answer(to: call, isWhole: isWhole) {
        case .success(let found): head = found
        case .failure(let broken):
            throw HoldfastError(
                .writeUnknown, "the vault \(location) did not answer a restore of its storage: \(broken.words)",
                hint: "It may have been done. Look at the vault with `bao status` before anything else.")
        }
        if head.status == 204, isWhole { return }
        if head.status < 300 {
            throw HoldfastError(
                .writeUnknown, "the vault \(location) answered with status \(head.status), as none does that took it",
                hint: "Look at it with `bao status`; something between here and the vault may answer in its place.")
        }
        // Which of these it is the server says in its own words: it has answered, and taken nothing.
        if head.status == 400 || head.status == 500 {
            let body = try call.answer.rest(limit: Self.mostOfFailure)
            let answer = VaultAnswer(status: head.status, headers: head.headers, body: body)
            if let words = client.session.errors(in: answer), !words.isEmpty {
                throw refused(words.joined(separator: "; "))
            }
        }
        throw try refusal(head, call, what)
    }

    private func answer(
        to call: StreamedCall, isWhole: Bool
    ) throws(HoldfastError) -> Result<(status: Int, headers: [String: String]), AnswerStream.Broken> {
        do throws(HoldfastError) {
            return try call.answer.head()
        } catch {
            guard error.code == .interrupted, isWhole else { throw error }
            throw HoldfastError(
                .interrupted,
                "interrupted after the vault \(location) had got all of its storage and before it answered: it may "
                    + "take it all the same",
                hint:
                    "See with `bao status` whether it is active or sealed, and look for what was written last, before "
                    + "anything else.")
        }
    }

    private func refused(_ words: String) -> HoldfastError {
        let isForeign = words.contains("could not verify hash file") || words.contains("snapshot-force")
        return HoldfastError(
            .targetFailed,
            "the vault \(location) refuses the storage"
                + (isForeign ? ", which another cluster's keys sealed" : "") + ": \(words.prefix(500))",
            hint: isForeign
                ? "Give --replace to restore it all the same; the vault is then unsealed with the keys of the old one."
                : "Read what it says; its log may say more.")
    }
}

/// What `sys/health` says.
private struct RaftHealth {
    var isSealed = false
    var isStandby = false

    /// Nil for what is none of its answers.
    init?(_ body: SecretBytes) throws(HoldfastError) {
        var (sealed, standby) = (Bool?.none, Bool?.none)
        do throws(HoldfastError) {
            try JSONScanner.read(body) { (scanner) throws(HoldfastError) in
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    switch key {
                    case "sealed": sealed = try scanner.bool()
                    case "standby": standby = try scanner.bool()
                    default: try scanner.skip()
                    }
                }
            }
        } catch {
            guard error.code != .interrupted else { throw error }
            return nil
        }
        guard let sealed, let standby else { return nil }
        (isSealed, isStandby) = (sealed, standby)
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
    private let clock: any Primitives.Clock
    private let before: String?

    init(
        _ call: StreamedCall, _ body: BodyStream, _ cluster: RaftCluster, _ what: HashiCorpCall,
        _ clock: any Primitives.Clock, since before: String?
    ) {
        self.before = before
        self.call = call
        self.body = body
        self.cluster = cluster
        self.what = what
        self.clock = clock
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        guard !call.answer.isOver, try body.write(bytes, to: call.answer, clock: clock) else {
            body.finish(isWhole: false)
            guard call.answer.isOver else {
                throw HoldfastError(
                    .vaultUnavailable, "the vault \(cluster.location) takes nothing more of its storage",
                    hint: "Look at the network, and at `http_read_timeout` of the listener: it must allow for all of "
                        + "the storage. Nothing was changed.", retry: .later)
            }
            try cluster.end(call, what, isWhole: false)
            throw HoldfastError(.targetFailed, "the vault \(cluster.location) answered too early", hint: "Look at it.")
        }
    }

    func finish() throws(HoldfastError) {
        let isEarly = call.answer.isOver
        body.finish(isWhole: !isEarly)
        try cluster.end(call, what, isWhole: !isEarly)
    }

    func settle() throws(HoldfastError) -> VaultClusterStanding {
        do throws(HoldfastError) {
            return try cluster.settle(since: before)
        } catch {
            guard error.code == .interrupted else { throw error }
            throw HoldfastError(
                .interrupted,
                "interrupted after the vault \(cluster.location) accepted its storage: that it has it in place was not "
                    + "seen",
                hint: "See with `bao status` that it is active, or that it is sealed, and then unseal it with the keys "
                    + "of the snapshot's vault; do not restore it again before that.")
        }
    }
}
