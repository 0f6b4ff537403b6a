// Reading a vault that changes while it is read, and what is stored of secrets.

import Primitives
import Repository
import SecretVaults
import Synchronization
import TestSupport
import Testing
import VaultProviders

@testable import Workloads

/// What a vault pushed, by path.
private final class Pushed: SecretSink {
    var entries: [String: EntryMetadata] = [:]
    var items: [String: SecretBytes] = [:]
    var failures: [String] = []
    var hadMore = false

    func hadSecrets() -> Bool { hadMore }
    func beginRoot(_ path: [UInt8], _ metadata: EntryMetadata, order: EntryOrder) {}
    func add(_ parts: [[UInt8]], _ metadata: EntryMetadata, link: [[UInt8]]?) { entries[Self.path(parts)] = metadata }
    func beginFile(_ parts: [[UInt8]], _ rule: CutRule) {}
    func fill(
        atMost limit: Int, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) -> Int { 0 }
    func hole(_ length: UInt64) {}
    func boundary() {}
    func endFile(_ metadata: EntryMetadata) {}
    func endRoot() {}
    func tree(at path: [UInt8], _ options: TreeReaderOptions) {}

    func holdsSecret(_ parts: [[UInt8]], _ metadata: EntryMetadata) -> Bool { false }
    func addSecret(_ parts: [[UInt8]], _ metadata: EntryMetadata, _ item: SecretBytes?) -> Bool {
        entries[Self.path(parts)] = metadata
        items[Self.path(parts)] = item
        return item != nil
    }
    func carrySecret(_ parts: [[UInt8]]) -> Bool { false }
    func carrySecrets(below parts: [[UInt8]], besides taken: Set<[[UInt8]]>) -> UInt64 { 0 }

    func discardSecret(_ parts: [[UInt8]]) {
        let path = Self.path(parts)
        for key in entries.keys where key == path || key.hasPrefix(path + "/@") {
            entries[key] = nil
            items[key] = nil
        }
    }
    func failSecret(_ parts: [[UInt8]], _ error: HoldfastError) { failures.append(Self.path(parts)) }

    static func path(_ parts: [[UInt8]]) -> String {
        String(decoding: Array(parts.joined(separator: [0x2F])), as: UTF8.self)
    }
}

/// A real vault in which something happens before its pages are listed, or a value is read.
private final class Restless: SecretInventory {
    let vault: EmbeddedVault
    let beforeList: @Sendable (Int) throws -> Void
    let beforeRead: @Sendable (SecretName) throws(HoldfastError) -> Void
    let beforeDescribe: (@Sendable (Int, SecretName) throws(HoldfastError) -> Void)?
    let isEndless: Bool
    private let lists = Mutex(0)

    init(
        _ vault: EmbeddedVault, beforeList: @escaping @Sendable (Int) throws -> Void,
        beforeRead: @escaping @Sendable (SecretName) throws(HoldfastError) -> Void = { (_) throws(HoldfastError) in },
        beforeDescribe: (@Sendable (Int, SecretName) throws(HoldfastError) -> Void)? = nil, isEndless: Bool = false
    ) {
        self.vault = vault
        self.beforeList = beforeList
        self.beforeRead = beforeRead
        self.beforeDescribe = beforeDescribe
        self.isEndless = isEndless
    }

    var capabilities: VaultCapabilities { vault.capabilities }
    var location: String { vault.location }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try vault.preflight(rights, under: prefix)
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        if mark == nil {
            let number = lists.withLock { value in
                value += 1
                return value
            }
            try? beforeList(number)
        }
        var page = try vault.list(under: prefix, after: isEndless ? nil : mark, limit: limit)
        if isEndless { page.next = VaultPageMark([UInt8((mark?.bytes.first ?? 0) ^ 1)]) }
        guard beforeDescribe != nil else { return page }
        // As a service whose listings have names alone.
        page.secrets = page.secrets.map { SecretListing(name: $0.name, record: nil) }
        return page
    }

    /// The hook knows the number of the listing.
    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        try beforeDescribe?(lists.withLock { $0 }, name)
        return try vault.describe(name)
    }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try beforeRead(name)
        return try vault.read(name, version)
    }
}

/// A real vault that gives names alone, as AWS and HashiCorp Vault do.
private final class Asked: SecretInventory {
    private let vault: EmbeddedVault
    private let mark: VaultPageMark?
    private let failing: HoldfastError?
    private let failingName: String?
    private let large: String?
    private let calls = Monitor((now: 0, most: 0, all: 0))

    init(
        _ vault: EmbeddedVault, mark: [UInt8]? = nil, failing: HoldfastError? = nil, of name: String? = nil,
        large: String? = nil
    ) {
        self.vault = vault
        self.mark = mark.map { VaultPageMark($0) }
        self.failing = failing
        failingName = name
        self.large = large
    }

    var capabilities: VaultCapabilities {
        var capabilities = vault.capabilities
        capabilities.concurrency = 8
        return capabilities
    }
    var location: String { vault.location }
    var mostAtOnce: Int { calls.withLock { $0.most } }
    var described: Int { calls.withLock { $0.all } }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try vault.preflight(rights, under: prefix)
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        var page = try vault.list(under: prefix, after: self.mark == nil ? mark : nil, limit: limit)
        for place in page.secrets.indices { page.secrets[place].record = nil }
        if let own = self.mark { page.next = own }
        return page
    }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        calls.withLock { calls in
            calls.now += 1
            calls.all += 1
            calls.most = max(calls.most, calls.now)
        }
        // Room for the others to come in.
        SystemClock().sleep(for: .milliseconds(5), unless: Cancellation())
        defer { calls.withLock { $0.now -= 1 } }
        if let failing, failingName == nil || failingName == name.text { throw failing }
        return try vault.describe(name)
    }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        var reading = try vault.read(name, version)
        if name.text == large {
            let bytes = SecretBytes(count: Int(SecretValue.maximumCount.bytes) + 1)
            reading.value = SecretValue(.text, bytes)
        }
        return reading
    }
}

@Suite("Reading a vault")
struct VaultReadingTests {
    private let directory = TemporaryDirectory()
    private let clock = HandClock()
    private let vault: EmbeddedVault
    private let context: WorkloadContext

    init() throws {
        vault = try EmbeddedVault.create(
            at: directory.path + "/vault", password: TestRepository.secret("p"),
            cost: PasswordCost(logN: 10, p: 1), clock: clock, entropy: SystemEntropy())
        context = WorkloadContext(clock: clock, entropy: SystemEntropy(), cancellation: Cancellation())
    }

    private static func put(_ vault: EmbeddedVault, _ name: String, _ value: String) throws {
        _ = try vault.put(
            SecretPut(
                try SecretName(name), SecretValue(.text, TestRepository.secret(value)), expected: .anything))
    }

    @Test("that changes between two looks is read until two looks agree, and what went is not in it")
    func restless() throws {
        for name in ["a", "b", "gone"] { try Self.put(vault, name, "1") }
        let (vault, clock) = (vault, clock)
        let restless = Restless(vault) { number in
            clock.advance(by: .seconds(1))
            switch number {
            case 2:
                try Self.put(vault, "a", "2")
                try vault.change(try SecretName("gone"), .remove(.permanent))
            case 3: try Self.put(vault, "new", "1")
            default: break
            }
        }
        let sink = Pushed()
        var reading = VaultReading(restless, into: sink, under: "", context)
        let began = clock.now()
        let instant = try #require(try reading.run(VaultPreflight()))
        // The first look, two that found changes, and the one that found none.
        #expect(instant == began + .seconds(3))
        #expect(sink.items.keys.sorted() == ["a/@1", "a/@2", "b/@1", "new/@1"])
        #expect(sink.entries["gone"] == nil && reading.secrets == 3)
    }

    @Test("that never holds still says so, and has each secret whole")
    func neverStill() throws {
        try Self.put(vault, "a", "1")
        let vault = vault
        let restless = Restless(vault) { number in try Self.put(vault, "a", "\(number)") }
        let sink = Pushed()
        var reading = VaultReading(restless, into: sink, under: "", context)
        #expect(try reading.run(VaultPreflight()) == nil)
        #expect(sink.items.count == VaultReading.rounds + 2)
    }

    @Test("that destroys a version between list and read has it as destroyed")
    func destroyed() throws {
        try Self.put(vault, "a", "1")
        try Self.put(vault, "a", "2")
        let (vault, shared) = (vault, SharedFlag())
        let restless = Restless(
            vault, beforeList: { _ in },
            beforeRead: { (name) throws(HoldfastError) in
                if shared.set() { try vault.change(name, .state(.destroy, of: try SecretVersionID("1"))) }
            })
        let sink = Pushed()
        var reading = VaultReading(restless, into: sink, under: "", context)
        #expect(try reading.run(VaultPreflight()) != nil)
        let facts = try #require(sink.entries["a/@1"].flatMap { try VaultLayout.version(of: $0) })
        #expect(facts.state != .live && sink.items["a/@1"] == nil && sink.items["a/@2"] != nil)
        #expect(sink.failures.isEmpty)
    }

    @Test("that may not be read in one place has the rest, and that a store is out of reach ends it")
    func refused() throws {
        for name in ["a", "b"] { try Self.put(vault, name, "1") }
        func read(_ code: ErrorCode) throws -> Pushed {
            let restless = Restless(
                vault, beforeList: { _ in },
                beforeRead: { (name) throws(HoldfastError) in
                    if name.text == "a" { throw HoldfastError(code, "no", hint: "") }
                })
            let sink = Pushed()
            var reading = VaultReading(restless, into: sink, under: "", context)
            _ = try reading.run(VaultPreflight())
            return sink
        }
        let sink = try read(.vaultAccessDenied)
        #expect(sink.failures.contains("a/@1") && sink.items.keys.sorted() == ["b/@1"])
        #expect(throws: HoldfastError.self) { try read(.vaultUnavailable) }
    }

    @Test("that calls a live version gone to the end has it among what is missing")
    func goneToTheEnd() throws {
        try Self.put(vault, "a", "1")
        try Self.put(vault, "b", "1")
        let restless = Restless(
            vault, beforeList: { _ in },
            beforeRead: { (name) throws(HoldfastError) in
                if name.text == "a" { throw HoldfastError.secretNotFound(name) }
            })
        let sink = Pushed()
        var reading = VaultReading(restless, into: sink, under: "", context)
        #expect(try reading.run(VaultPreflight()) == nil)
        #expect(sink.failures == ["a/@1"] && sink.items.keys.sorted() == ["b/@1"])
        #expect(reading.versions == 2 && reading.withoutValue == 1)
    }

    @Test("that lists a secret to the end and says that it is not there has it among what is missing")
    func listedAndNotThere() throws {
        for name in ["a", "b"] { try Self.put(vault, name, "1") }
        // From the first look on, and only after it was taken.
        for first in [1, 2] {
            let restless = Restless(
                vault, beforeList: { _ in },
                beforeDescribe: { (number, name) throws(HoldfastError) in
                    if name.text == "a", number >= first { throw HoldfastError.secretNotFound(name) }
                })
            let sink = Pushed()
            var reading = VaultReading(restless, into: sink, under: "", context)
            #expect(try reading.run(VaultPreflight()) != nil)
            #expect(sink.failures == ["a"])
            #expect(sink.items.keys.sorted() == (first == 1 ? ["b/@1"] : ["a/@1", "b/@1"]))
        }
    }

    @Test("that lists a secret which just went misses nothing")
    func listedAndGone() throws {
        for name in ["a", "b"] { try Self.put(vault, name, "1") }
        let (vault, flag) = (vault, SharedFlag())
        let restless = Restless(
            vault, beforeList: { _ in },
            beforeDescribe: { (number, name) throws(HoldfastError) in
                if number == 2, name.text == "a", flag.set() { try vault.change(name, .remove(.permanent)) }
            })
        let sink = Pushed()
        var reading = VaultReading(restless, into: sink, under: "", context)
        #expect(try reading.run(VaultPreflight()) != nil)
        #expect(sink.failures.isEmpty && sink.items.keys.sorted() == ["b/@1"])
    }

    @Test("whose listing goes on for ever ends with a failure")
    func goesOn() throws {
        try Self.put(vault, "a", "1")
        let restless = Restless(vault, beforeList: { _ in }, isEndless: true)
        var reading = VaultReading(restless, into: Pushed(), under: "", context)
        let error = #expect(throws: HoldfastError.self) { try reading.run(VaultPreflight()) }
        #expect(error?.code == .corruptObject)
    }

    @Test("that shows nothing any more, where it or the snapshot before had something, says so")
    func emptied() throws {
        func isEmptied(hadMore: Bool, _ isRemoved: Bool, put: Bool) throws -> Bool {
            let vault = vault
            if put { try Self.put(vault, "a", "1") }
            let restless = Restless(vault) { number in
                if isRemoved, number == 2 { try vault.change(try SecretName("a"), .remove(.permanent)) }
            }
            let sink = Pushed()
            sink.hadMore = hadMore
            var reading = VaultReading(restless, into: sink, under: "", context)
            _ = try reading.run(VaultPreflight())
            #expect(reading.secrets == (put && !isRemoved ? 1 : 0))
            return reading.isEmptied
        }
        #expect(try !isEmptied(hadMore: false, false, put: false))
        #expect(try isEmptied(hadMore: true, false, put: false))
        #expect(try isEmptied(hadMore: false, true, put: true))
        #expect(try !isEmptied(hadMore: true, false, put: true))
    }

    @Test("whose listing comes to the same place again ends with a failure")
    func endless() throws {
        try Self.put(vault, "a", "1")
        var reading = VaultReading(Asked(vault, mark: [1]), into: Pushed(), under: "", context)
        let error = #expect(throws: HoldfastError.self) { try reading.run(VaultPreflight()) }
        #expect(error?.code == .corruptObject)
    }

    @Test("whose listing has no records asks for several at once, and for no more once none is to be had")
    func describing() throws {
        let names = (0..<40).map { "name \($0)" }
        for name in names { try Self.put(vault, name, "1") }
        let asked = Asked(vault)
        let sink = Pushed()
        var reading = VaultReading(asked, into: sink, under: "", context)
        _ = try reading.run(VaultPreflight())
        #expect(sink.items.count == 40 && reading.secrets == 40)
        #expect(asked.mostAtOnce > 1)
        let one = Asked(vault, failing: HoldfastError(.vaultAccessDenied, "no", hint: ""), of: "name 7")
        let partial = Pushed()
        var other = VaultReading(one, into: partial, under: "", context)
        _ = try other.run(VaultPreflight())
        #expect(partial.items.count == 39 && partial.failures.contains("name 7"))
        let gone = Asked(vault, failing: HoldfastError(.vaultUnavailable, "no", hint: ""))
        var none = VaultReading(gone, into: Pushed(), under: "", context)
        let error = #expect(throws: HoldfastError.self) { try none.run(VaultPreflight()) }
        #expect(error?.code == .vaultUnavailable && gone.described < 40)
    }

    @Test("with a value that is larger than any may be names it, and takes the rest")
    func large() throws {
        for name in ["a", "b", "c"] { try Self.put(vault, name, "1") }
        let sink = Pushed()
        var reading = VaultReading(Asked(vault, large: "b"), into: sink, under: "", context)
        _ = try reading.run(VaultPreflight())
        #expect(sink.items.keys.sorted() == ["a/@1", "c/@1"] && sink.failures.contains("b/@1"))
    }

    @Test("with names that no walk would follow says so, and takes the rest")
    func deep() throws {
        try Self.put(vault, Array(repeating: "a", count: 300).joined(separator: "/"), "1")
        try Self.put(vault, "b", "1")
        let sink = Pushed()
        var reading = VaultReading(vault, into: sink, under: "", context)
        _ = try reading.run(VaultPreflight())
        #expect(Set(sink.failures).count == 1 && sink.items.keys.sorted() == ["b/@1"])
    }

    @Test("whose next version would push one out is told")
    func full() throws {
        try Self.put(vault, "a", "1")
        try Self.put(vault, "b", "1")
        var limits = SecretAttributes()
        limits.limits.maximumVersions = 1
        try vault.change(try SecretName("a"), .attributes(limits))
        var reading = VaultReading(vault, into: Pushed(), under: "", context)
        _ = try reading.run(VaultPreflight())
        #expect(reading.full.map(\.text) == ["a"])
    }

    @Test("gives different names different paths, all of which can be written")
    func paths() throws {
        let names = [
            "a", "a/b", "a//b", "/a", "a/", ".", "..", "a/..", "@1", "a/@1", "%401", "100%", "é", "e\u{301}",
            String(repeating: "x", count: 300), String(repeating: "x", count: 301), " ", "a b", "a%2Fb",
        ]
        var seen: [[[UInt8]]: String] = [:]
        for name in names {
            let parts = VaultLayout.parts(of: try SecretName(name))
            #expect(parts.allSatisfy { isSafeName($0) }, "\(name)")
            #expect(parts.allSatisfy { $0.first != UInt8(ascii: "@") }, "\(name)")
            #expect(seen.updateValue(name, forKey: parts) == nil, "\(name)")
        }
        let version = VaultLayout.parts(of: try SecretName("a"), try SecretVersionID("../x"))
        #expect(version.count == 2 && version.allSatisfy { isSafeName($0) })
    }

    @Test("keeps all that is known of a secret")
    func facts() throws {
        var record = SecretRecord(name: try SecretName("größe"))
        record.attributes = SecretAttributes(
            description: "what", tags: SecretTags([("k", String(repeating: "v", count: 1000)), ("é", "e")]),
            limits: SecretLimits(maximumVersions: 5, requiresComparison: true, deletesAfter: .seconds(60)))
        record.created = Timestamp(seconds: 5, nanoseconds: 7)
        record.changed = Timestamp(seconds: 6)
        record.removal = SecretRemoval(at: nil, purge: Timestamp(seconds: 9))
        record.current = try SecretVersionID("v")
        record.prunedThrough = 3
        for number in 0..<64 { record.extras["x\(number)"] = String(repeating: "y", count: 1024) }
        #expect(try VaultLayout.record(of: VaultLayout.metadata(of: record)) == record)
        #expect(VaultLayout.metadata(of: record).attributes.allSatisfy { $0.value.count <= 64 << 10 })
        for state: SecretVersionState in [
            .live, .disabled, .softDeleted(at: nil), .destroyed(at: Timestamp(seconds: 4)),
        ] {
            var version = SecretVersion(
                id: try SecretVersionID("v"), order: 9, created: Timestamp(seconds: 1), state: state)
            version.changed = Timestamp(seconds: 2)
            version.deletionDue = Timestamp(seconds: 3)
            version.labels = [try StagingLabel("current"), try StagingLabel("mine")]
            version.attributes = SecretVersionAttributes(
                notBefore: Timestamp(seconds: 4), expires: Timestamp(seconds: 5), contentType: "text/plain",
                tags: SecretTags([("a", "b")]))
            version.extras["z"] = "1"
            #expect(try VaultLayout.version(of: VaultLayout.metadata(of: version)) == version)
        }
        #expect(try VaultLayout.record(of: EntryMetadata(name: [], kind: .directory)) == nil)
    }
}

/// True once.
private final class SharedFlag: Sendable {
    private let flag = Mutex(false)

    func set() -> Bool {
        flag.withLock { value in
            defer { value = true }
            return !value
        }
    }
}
