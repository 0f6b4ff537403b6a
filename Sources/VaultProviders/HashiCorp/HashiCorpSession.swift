// A login at Vault or OpenBao, kept alive, and the calls that go under it.

import Primitives
import SecretVaults
import Synchronization

/// What a call needs to be told from others in a failure.
struct HashiCorpCall {
    var method: VaultRequest.Method
    var path: HashiCorpPath
    var right: VaultRight
    var body: SecretBytes?
    var effect = VaultRequest.Effect.none
    var largestAnswer: ByteCount

    init(
        _ method: VaultRequest.Method, _ path: HashiCorpPath, _ right: VaultRight, body: SecretBytes? = nil,
        effect: VaultRequest.Effect = .none, largestAnswer: ByteCount = HashiCorpAnswers.any
    ) {
        self.method = method
        self.path = path
        self.right = right
        self.body = body
        self.effect = effect
        self.largestAnswer = largestAnswer
    }

    init(_ path: HashiCorpPath, _ right: VaultRight, largestAnswer: ByteCount = HashiCorpAnswers.any) {
        self.init(.get, path, right, largestAnswer: largestAnswer)
    }
}

/// What answers may have at most, so that many at once stay within memory.
enum HashiCorpAnswers {
    /// Of logins, of looks at the server, and of writes.
    static let any = ByteCount.kibi(256)
    /// A value, which is kept as the server writes it, and the metadata beside it.
    static let value = SecretValue.maximumCount + .mebi(1)
    /// The metadata of ``SecretBounds/versions`` versions.
    static let record = ByteCount.mebi(8)
    /// The names of a folder: HashiCorp Vault does not part them.
    static let list = ByteCount.mebi(32)
}

/// Sends calls with a token that it gets, renews and gets again.
///
/// Of several threads that need a new token one fetches it and the others wait for that. A token is renewed after two
/// thirds of its lease; when a renewal does not make the lease longer, its own limit is near, and there is a new login.
package final class HashiCorpSession: Sendable {
    private let transport: any VaultTransport
    private let options: HashiCorpOptions
    private let clock: any Clock
    /// What the location says, with the mount.
    let location: String
    /// A path that this login was seen to reach, to tell a dead token from a missing right.
    private let probe: HashiCorpPath
    private let held = Mutex<HeldToken?>(nil)

    private struct HeldToken: Sendable {
        var token: SecretBytes
        /// On the clock's uptime.
        var since: Duration
        /// Nil for one that does not end, or of which nothing can be learned.
        var lease: Duration?
        var isRenewable: Bool
        /// When a renewal that failed is tried again.
        var nextAttempt: Duration?

        func isFresh(at now: Duration) -> Bool {
            guard let lease else { return true }
            if now - since < lease * 2 / 3 { return true }
            return isAlive(at: now) && nextAttempt.map { now < $0 } == true
        }
        func isAlive(at now: Duration) -> Bool { lease.map { now - since < $0 } ?? true }
    }

    /// What became of an attempt to lengthen a lease.
    private enum Renewal {
        case renewed(HeldToken)
        /// It is as it was, and may be renewed later.
        case failed
        /// It can't be renewed any more.
        case ended
    }

    /// Between two attempts at a renewal.
    private static let patience = Duration.seconds(10)

    init(
        _ transport: any VaultTransport, _ options: HashiCorpOptions, location: String, probe: HashiCorpPath,
        clock: any Clock
    ) {
        self.transport = transport
        self.options = options
        self.location = location
        self.probe = probe
        self.clock = clock
    }

    // MARK: - Calls

    /// Sends a call under the login; once more after a new login when the old one turned out to be dead.
    ///
    /// - Returns: an answer of success, or a 404, or to a write a 400, of which the caller knows better.
    func send(_ call: HashiCorpCall) throws(HoldfastError) -> VaultAnswer {
        let token = try token(insteadOf: nil)
        let answer = try send(call, token)
        guard answer.status == 403 else { return try checked(answer, call) }
        if try isKnown(token) { throw denied(call) }
        guard options.login.canRepeat else { throw loginFailed("its token is wrong, expired or revoked") }
        // A refusal did nothing, so that a write may be sent again, too.
        let other = try self.token(insteadOf: token)
        let again = try send(call, other)
        guard again.status == 403 else { return try checked(again, call) }
        // A file may still hold the dead one.
        throw try isKnown(other) ? denied(call) : loginFailed("its token is wrong, expired or revoked")
    }

    /// What goes with a call whose body or answer is not held in memory. It is sent once: look at the login before.
    func streamHeaders() throws(HoldfastError) -> [(name: String, value: String)] {
        headers(try token(insteadOf: nil))
    }

    /// Sends a call that needs no login.
    func sendOpenly(_ path: HashiCorpPath) throws(HoldfastError) -> VaultAnswer {
        try transport.send(
            VaultRequest(.get, path.target, headers: headers(nil), largestAnswer: HashiCorpAnswers.any))
    }

    private func send(_ call: HashiCorpCall, _ token: SecretBytes?) throws(HoldfastError) -> VaultAnswer {
        try transport.send(
            VaultRequest(
                call.method, call.path.target, headers: headers(token, patches: call.method == .patch), body: call.body,
                effect: call.effect, largestAnswer: call.largestAnswer))
    }

    private func headers(_ token: SecretBytes?, patches: Bool = false) -> [(name: String, value: String)] {
        let type = patches ? "application/merge-patch+json" : "application/json"
        var headers = [(name: "X-Vault-Request", value: "true"), (name: "Content-Type", value: type)]
        if let namespace = options.namespace { headers.append((name: "X-Vault-Namespace", value: namespace)) }
        if let token {
            headers.append((name: "X-Vault-Token", value: token.withBytes { String(decoding: $0, as: UTF8.self) }))
        }
        return headers
    }

    /// - Throws: what keeps it from being told: only a refusal says that a token is dead.
    private func isKnown(_ token: SecretBytes) throws(HoldfastError) -> Bool {
        // A token without the default policy may not ask about itself.
        for path in [HashiCorpPath("auth/token/lookup-self"), probe] {
            let call = HashiCorpCall(path, .list)
            let answer = try send(call, token)
            if answer.status == 200 { return true }
            guard answer.status == 403 else { throw failure(answer, call) }
        }
        return false
    }

    // MARK: - Tokens

    private func token(insteadOf dead: SecretBytes?) throws(HoldfastError) -> SecretBytes {
        try held.withLock { (held) throws(HoldfastError) in
            let now = clock.uptime()
            if let found = held, dead.map({ $0.equals(found.token) }) != true {
                if found.isFresh(at: now) { return found.token }
                switch try renewal(of: found) {
                case .renewed(let renewed):
                    held = renewed
                    return renewed.token
                case .failed:
                    // It is good for a while yet; the others do not wait for another failure.
                    held?.nextAttempt = clock.uptime() + Self.patience
                    return found.token
                case .ended where !options.login.canRepeat:
                    // Nothing better can be had: it is used to its end.
                    held?.isRenewable = false
                    return found.token
                case .ended: break
                }
            }
            let new = try logIn()
            held = new
            return new.token
        }
    }

    private func renewal(of old: HeldToken) throws(HoldfastError) -> Renewal {
        let now = clock.uptime()
        guard old.isRenewable, old.isAlive(at: now), let lease = old.lease else { return .ended }
        let path = HashiCorpPath("auth/token/renew-self")
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try send(HashiCorpCall(.post, path, .list, body: Self.empty), old.token)
        } catch {
            return .failed
        }
        guard answer.status == 200 else { return answer.status >= 500 || answer.status == 429 ? .failed : .ended }
        guard let new = try login(in: answer), let granted = new.lease else { return .ended }
        let left = lease - (now - old.since)
        // The server caps it to what the token may live at most: no growth means that its end is near.
        guard granted > left + .seconds(1) else { return .ended }
        return .renewed(HeldToken(token: old.token, since: now, lease: granted, isRenewable: new.isRenewable))
    }

    private static var empty: SecretBytes {
        var body = SecretBuffer()
        body.append("{}")
        return body.taken()
    }

    private func logIn() throws(HoldfastError) -> HeldToken {
        switch options.login {
        case .token(let token): return try lookedUp(token)
        case .tokenFile(let path): return try lookedUp(try HashiCorpLogin.credential(path))
        case .appRole(let roleID, let secretID, let mount):
            var body = SecretBuffer()
            body.append("{\"role_id\":")
            try HashiCorpLogin.credential(roleID).withBytes { body.appendJSON($0) }
            body.append(",\"secret_id\":")
            try HashiCorpLogin.credential(secretID).withBytes { body.appendJSON($0) }
            body.append("}")
            return try logIn(at: mount, body.taken(), "the role id or the secret id is wrong or used up")
        case .jwt(let role, let file, let mount):
            var body = SecretBuffer()
            body.append("{\"role\":")
            body.appendJSON(role)
            body.append(",\"jwt\":")
            try HashiCorpLogin.credential(file, mayBeOpen: true).withBytes { body.appendJSON($0) }
            body.append("}")
            return try logIn(at: mount, body.taken(), "the role \(role) does not take the signed token of \(file)")
        }
    }

    private func logIn(at mount: String, _ body: SecretBytes, _ refusal: String) throws(HoldfastError) -> HeldToken {
        let path = HashiCorpPath("auth/\(mount)/login")
        let answer = try transport.send(
            VaultRequest(
                .post, path.target, headers: headers(nil), body: body, largestAnswer: HashiCorpAnswers.any))
        switch answer.status {
        case 200:
            guard let login = try login(in: answer) else {
                throw senseless("a login without a token")
            }
            return login
        case 400, 401, 403: throw loginFailed(refusal)
        case 404: throw loginFailed("there is no way to log in at auth/\(mount)")
        default: throw failure(answer, HashiCorpCall(.post, path, .list))
        }
    }

    /// Learns how long a token lives that came from elsewhere.
    private func lookedUp(_ token: SecretBytes) throws(HoldfastError) -> HeldToken {
        var found = HeldToken(token: token, since: clock.uptime(), lease: nil, isRenewable: false)
        let answer = try send(HashiCorpCall(HashiCorpPath("auth/token/lookup-self"), .list), token)
        guard answer.status == 200 else {
            // It may not ask about itself; whether it is dead the call itself will tell.
            if answer.status == 403 || answer.status == 404 { return found }
            throw failure(answer, HashiCorpCall(HashiCorpPath("auth/token/lookup-self"), .list))
        }
        try read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "ttl":
                    let seconds = try scanner.integer()
                    found.lease = seconds > 0 ? .seconds(seconds) : nil
                case "renewable": found.isRenewable = try scanner.bool()
                default: try scanner.skip()
                }
            }
        }
        return found
    }

    /// The `auth` block of an answer; nil when there is none.
    private func login(in answer: VaultAnswer) throws(HoldfastError) -> HeldToken? {
        var token: SecretBytes?
        var (lease, isRenewable) = (Int64(0), false)
        try read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "auth") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "client_token":
                    var bytes = try scanner.stringBytes()
                    token = SecretBytes(wiping: &bytes)
                case "lease_duration": lease = try scanner.integer()
                case "renewable": isRenewable = try scanner.bool()
                default: try scanner.skip()
                }
            }
        }
        guard let token, token.count > 0 else { return nil }
        return HeldToken(
            token: token, since: clock.uptime(), lease: lease > 0 ? .seconds(lease) : nil, isRenewable: isRenewable)
    }
}
