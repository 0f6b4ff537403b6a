// How a vault is said to stand that has accepted its storage.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestThreads
import Testing
import VaultProviders
import VaultSupport

/// Waits as long as it is asked to without any time going by.
private final class SkippingClock: Clock {
    private let system = SystemClock()
    private let skipped = Mutex(Duration.zero)
    private let factor: Int

    /// - Parameter factor: So many times longer than it is asked to.
    init(_ factor: Int) { self.factor = factor }

    func now() -> Timestamp { system.now() }
    func uptime() -> Duration { system.uptime() + skipped.withLock { $0 } }
    func sleep(for duration: Duration, unless cancellation: Cancellation) {
        skipped.withLock { $0 += duration * factor }
    }
}

@Suite("A vault that has accepted its storage", .waiting)
struct RaftStandingTests {
    private static func health(_ isSealed: Bool, _ isStandby: Bool) -> String {
        "{\"initialized\":true,\"sealed\":\(isSealed),\"standby\":\(isStandby),\"version\":\"2\"}"
    }

    private static func leader(_ time: String?) -> String {
        "{\"ha_enabled\":true,\"is_self\":true\(time.map { ",\"active_time\":\"\($0)\"" } ?? "")}"
    }

    /// Gives it a storage, and asks how it stands.
    ///
    /// - Parameters:
    ///   - first: So many looks at its health find `other` before they find `health`.
    ///   - times: Since when it leads, before and after.
    private func standing(
        _ health: (Int, String), after first: Int = 0, _ other: (Int, String) = (503, ""),
        times: (String?, String?) = ("a", "b"), _ factor: Int = 30
    ) throws -> VaultClusterStanding {
        let (looks, isAccepted) = (Shared(0), Shared(false))
        let scripted = try ScriptedVault(takesChunks: true) { request in
            if request.method == "POST" {
                isAccepted.mutex.withLock { $0 = true }
                return .answer(204, body: "")
            }
            if request.target.hasSuffix("sys/leader") {
                return .answer(200, body: Self.leader(isAccepted.mutex.withLock { $0 } ? times.1 : times.0))
            }
            guard request.target.hasSuffix("sys/health") else { return .answer(200, body: #"{"data":{"ttl":0}}"#) }
            let number = looks.mutex.withLock { looks in
                looks += 1
                return looks
            }
            let answer = number <= first ? other : health
            return .answer(answer.0, body: answer.1)
        }
        defer { scripted.stop() }
        let cluster = try RaftCluster(
            try VaultClusterLocation(scripted.origin), HashiCorpOptions(login: .token(secret("t"))),
            clock: SkippingClock(factor), cancellation: Cancellation())
        let upload = try cluster.restore(replacingKeys: false)
        try Array("storage".utf8).withUnsafeBytes { try upload.write($0) }
        try upload.finish()
        return try upload.settle()
    }

    @Test("is said to stand as it says itself for some seconds, and not as something in front of it says")
    func standings() throws {
        let (sealed, standby) = (Self.health(true, true), Self.health(false, true))
        let good = (200, Self.health(false, false))
        #expect(try standing((503, sealed)) == .sealed)
        #expect(try standing((429, standby)) == .standby)
        #expect(try standing((473, standby)) == .standby)
        #expect(try standing((503, "no healthy upstream")) == .unseen)
        #expect(try standing((429, #"{"errors":["slow down"]}"#)) == .unseen)
        #expect(try standing((503, standby)) == .unseen)
        #expect(try standing(good) == .active)
        #expect(try standing(good, times: ("a", "a")) == .unseen)
        #expect(try standing(good, times: (nil, nil)) == .answering)
        // What passes by within some seconds is not taken for the end.
        #expect(try standing(good, after: 5, (503, sealed), 1) == .active)
    }
}
