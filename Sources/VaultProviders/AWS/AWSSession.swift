// Signed calls of AWS Secrets Manager, and what they need to be told apart in a failure.

import Primitives
import Sealing
import SecretVaults
import Synchronization

/// One operation of the service's JSON 1.1 protocol.
struct AWSCall {
    /// Such as `GetSecretValue`.
    var operation: String
    var right: VaultRight
    /// What policies write it over: the secret's name, or `*`.
    var subject: String
    var body: SecretBytes
    var effect = VaultRequest.Effect.none

    /// As a policy names it.
    var path: String { "secretsmanager:\(operation) of \(subject)" }
}

/// What callers understand beside success, by the service's name for it.
enum AWSRefusal {
    case notFound, exists, invalidRequest, invalidParameter
}

enum AWSAnswer {
    /// The JSON object of success.
    case success(VaultAnswer)
    case refused(AWSRefusal)
}

/// Signs calls with keys that it keeps fresh, and reads what the service says to them.
///
/// A call is sent once. It is sent again once when the keys turned out to be dead and others can be had, and once when
/// this machine's clock is not the service's; neither was carried out. The service's time is kept for later calls.
final class AWSSession: Sendable {
    static let service = "secretsmanager"

    private let transport: any VaultTransport
    private let credentials: AWSCredentialStore
    private let region: String
    /// As the client sends it.
    private let host: String
    private let clock: any Clock
    /// What to add to this machine's clock.
    private let skew = Mutex(Duration.zero)

    /// With the region, for messages.
    let location: String

    init(
        _ transport: any VaultTransport, _ credentials: AWSCredentialStore, region: String, host: String,
        clock: any Clock
    ) {
        self.transport = transport
        self.credentials = credentials
        self.region = region
        self.host = host
        self.clock = clock
        location = "aws:\(region)"
    }

    var credentialsName: String { credentials.source.name }

    /// The time by the service's clock, as far as it is known.
    var now: Timestamp { clock.now() + skew.withLock { $0 } }

    func send(_ call: AWSCall) throws(HoldfastError) -> AWSAnswer {
        var (keys, number) = try credentials.keys()
        var mayRefresh = credentials.source.canRefresh
        var mayTurnClock = true
        while true {
            let instant = now
            let answer = try transport.send(request(call, keys, at: instant))
            if answer.status == 200 { return .success(answer) }
            let kind = Self.kind(of: answer)
            if mayTurnClock, Self.isAboutTime(kind), turnClock(to: answer, signedAt: instant) {
                mayTurnClock = false
                continue
            }
            if mayRefresh, Self.isAboutKeys(kind) {
                mayRefresh = false
                (keys, number) = try credentials.keys(after: number)
                continue
            }
            if let refusal = Self.refusal(kind) { return .refused(refusal) }
            throw failure(kind, answer, call)
        }
    }

    private func request(_ call: AWSCall, _ keys: AWSCredentials, at instant: Timestamp) -> VaultRequest {
        var headers = [
            (name: "Content-Type", value: "application/x-amz-json-1.1"),
            (name: "Host", value: host),
            (name: "X-Amz-Date", value: AWSSignature.text(instant)),
            (name: "X-Amz-Target", value: "secretsmanager.\(call.operation)"),
        ]
        if let token = keys.token {
            let text = token.withBytes { String(decoding: $0, as: UTF8.self) }
            headers.append((name: "X-Amz-Security-Token", value: text))
        }
        let digest = call.body.withBytes { SHA256.digest(RawSpan(_unsafeBytes: $0)) }
        let signature = AWSSignature(region: region, service: Self.service, at: instant)
        let signed = AWSRequest(headers: headers, bodyDigest: digest)
        headers.append((name: "Authorization", value: signature.authorization(for: signed, keys)))
        return VaultRequest(.post, "/", headers: headers, body: call.body, effect: call.effect)
    }

    /// Takes the service's time over; false when the refused request was signed by it already.
    ///
    /// It goes by the instant of that request: another one may have learnt the service's time meanwhile, or it waited
    /// too long for its turn.
    private func turnClock(to answer: VaultAnswer, signedAt instant: Timestamp) -> Bool {
        guard let date = answer.headers["date"].flatMap({ Timestamp(httpDate: $0) }) else { return false }
        // The header has whole seconds, and a signature is good for minutes.
        guard abs(date.since(instant).components.seconds) >= 60 else { return false }
        let found = date.since(clock.now())
        skew.withLock { $0 = found }
        return true
    }
}

extension Timestamp {
    /// Reads the one form of RFC 9110, 5.6.7, that is sent today: `Sun, 06 Nov 1994 08:49:37 GMT`.
    init?(httpDate text: String) {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else {
            return nil
        }
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        self.init(text: "\(parts[3])-\(number)-\(parts[1])T\(parts[4])Z")
    }
}
