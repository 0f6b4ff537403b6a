// Goes over all packs with several threads and gathers what is bad.

import ObjectStore
import Primitives
import Synchronization

/// All packs of a repository against the index, and their bytes where asked for.
struct PackPass {
    let collector: CheckCollector
    let objects: CheckedObjects
    let runs: [CheckedRun]
    let keyring: Keyring?
    let entropy: any Entropy
    /// Packs to be read from end to end, whatever the options say.
    var chosen: Set<PackID>?

    /// What the packs are worth.
    struct Outcome: Sendable {
        var badPacks: Set<PackID> = []
        var badCopies: Set<CopyName> = []
        /// Bad packs of which nobody can tell which chunks are bad.
        var guessed: Set<PackID> = []
        var rotten: Set<PackID> = []
        var verified: Set<PackID> = []
        var differing: Set<IndexRunID> = []

        mutating func add(_ verdict: PackVerdict, of pack: PackID) {
            if verdict.isBad { badPacks.insert(pack) }
            if verdict.isGuess { guessed.insert(pack) }
            if verdict.isRotten { rotten.insert(pack) }
            if verdict.isVerified { verified.insert(pack) }
            badCopies.formUnion(verdict.badCopies)
            differing.formUnion(verdict.differing)
        }
    }

    func run() throws(HoldfastError) -> Outcome {
        let loaded = runs.compactMap(\.loaded)
        var outcome = Outcome()
        let indexed = compareListing(&outcome)
        let jobs = try makeJobs(indexed, loaded, absent: outcome.badPacks)
        let absent = outcome.badPacks
        let index = Index(runs: loaded) { absent.contains($0.id) ? [] : .present }
        let packs = self.keyring.map { PackReader(store: self.collector.store, keyring: $0) }
        let shared = Mutex((next: 0, outcome: outcome, failure: HoldfastError?.none))
        let bytes = jobs.reduce(UInt64(0)) { $0 + ($1.readsData ? $1.size : 0) }
        self.collector.progress.enter(.checking, bytesTotal: bytes, itemsTotal: UInt64(jobs.count))
        let (objects, collector, keyring) = (self.objects, self.collector, self.keyring)
        let help = ChunkHelp()
        let (clock, end) = (self.collector.options.clock, deadline)
        // More threads than packs: the others help with the chunks.
        withThreads(max(1, jobs.isEmpty ? 1 : self.collector.options.threads)) { _ in
            help.enter()
            do throws(HoldfastError) {
                let examiner = try PackExaminer(
                    collector, objects: objects, runs: loaded, index: index, keyring: keyring, packs: packs, help: help)
                while true {
                    let number = shared.withLock { state -> Int? in
                        guard state.failure == nil, state.next < jobs.count else { return nil }
                        defer { state.next += 1 }
                        return state.next
                    }
                    guard let number else { return examiner.helpOthers() }
                    try collector.cancellation.check()
                    var job = jobs[number]
                    if let end, clock.uptime() >= end { job.readsData = false }
                    var verdict = try examiner.examine(job)
                    if isLeftDamaged(job) {
                        (verdict.isBad, verdict.isGuess) = (true, true)
                        collector.add(
                            .error, .damaged, ObjectNames.pack(job.id).path,
                            "it was damaged when it was read last, and the budget ended before it was read again")
                    }
                    shared.withLock { $0.outcome.add(verdict, of: job.id) }
                    if job.readsData { collector.note(read: job.id, isGood: verdict.isGood) }
                    collector.progress.add(items: 1)
                    if jobs[number].readsData { collector.progress.add(bytes: Int(job.size)) }
                }
            } catch {
                shared.withLock { $0.failure = $0.failure ?? error }
                help.help(with: nil)
            }
        }
        return try shared.withLock { (state) throws(HoldfastError) -> Outcome in
            if let failure = state.failure { throw failure }
            return state.outcome
        }
    }

    /// Whether the pack was damaged when it was read last, and is not read now.
    private func isLeftDamaged(_ job: PackJob) -> Bool {
        guard case .oldest(let order) = collector.options.data, !job.readsData, !job.listed.isEmpty else {
            return false
        }
        return order.lastRead[job.id] == OldestFirst.damaged
    }

    /// When no pack is begun any more, on the clock of the options.
    private var deadline: Duration? {
        guard case .oldest(let order) = collector.options.data, let time = order.time else { return nil }
        return collector.options.clock.uptime() + time
    }

    /// Packs that runs list are there with their length, or were swept.
    private func compareListing(_ outcome: inout Outcome) -> Set<PackID> {
        var indexed: Set<PackID> = []
        var swept = 0
        for checked in runs {
            for pack in checked.run.packs where !outcome.badPacks.contains(pack.id) {
                let isNew = indexed.insert(pack.id).inserted
                let name = ObjectNames.pack(pack.id).path
                guard let info = objects.packs[pack.id] else {
                    outcome.badPacks.insert(pack.id)
                    if objects.sweptPacks.contains(pack.id) {
                        swept += isNew ? 1 : 0
                    } else {
                        collector.add(.error, .missing, name, "it is not in the store, and the index lists it")
                    }
                    continue
                }
                if info.size != pack.length {
                    outcome.badPacks.insert(pack.id)
                    collector.add(
                        .error, .wrongLength, name,
                        "it has \(info.size) bytes, and the index says \(pack.length)")
                }
            }
        }
        if swept > 0 {
            collector.add(.info, .swept, "packs", "\(swept) packs that the index lists were swept by a collection")
        }
        let loose = objects.packs.values.filter { info in
            ObjectNames.packID(info.key).map { !indexed.contains($0) } ?? false
        }
        if !loose.isEmpty {
            let bytes = ByteCount(loose.reduce(UInt64(0)) { $0 + $1.size })
            collector.add(
                .info, .notIndexed, "packs",
                "\(loose.count) packs are in no index run (\(bytes)): left by a broken-off backup or just written"
            )
        }
        return indexed
    }

    /// Packs in the order in which they were put, which is that of the disk and of chains of deltas.
    private func makeJobs(
        _ indexed: Set<PackID>, _ loaded: [LoadedRun], absent: Set<PackID>
    ) throws(HoldfastError) -> [PackJob] {
        var listed: [PackID: [(run: Int, place: Int)]] = [:]
        for (number, run) in loaded.enumerated() {
            for (place, pack) in run.run.packs.enumerated() { listed[pack.id, default: []].append((number, place)) }
        }
        let selection = PackSelection(collector.options.data)
        var selected = chosen ?? []
        if chosen == nil { selected = try selection.choose(from: objects.packs, entropy: entropy) }
        return objects.packs.map { id, info in
            PackJob(
                id: id, size: info.size, listed: absent.contains(id) ? [] : listed[id] ?? [],
                readsData: selected.contains(id))
        }
        .sorted { a, b in
            if case .oldest(let order) = collector.options.data {
                return a.readsData == b.readsData ? order.comes(a.id, before: b.id) : a.readsData
            }
            let (first, second) = (objects.packs[a.id]?.modified, objects.packs[b.id]?.modified)
            if let first, let second, first != second { return first < second }
            return a.id < b.id
        }
    }
}

/// Which packs a selection stands for.
struct PackSelection {
    private let selection: DataSelection

    init(_ selection: DataSelection) { self.selection = selection }

    func choose(
        from packs: [PackID: ObjectInfo], entropy: any Entropy
    ) throws(HoldfastError) -> Set<PackID> {
        switch selection {
        case .none: return []
        case .all: return Set(packs.keys)
        case .part(let number, let count): return Set(packs.keys.filter { $0.bytes.w0 % count == number - 1 })
        case .percent(let percent):
            let wanted = Int((Double(packs.count) * percent / 100).rounded(.up))
            return Set(try mixed(packs.keys.sorted(), entropy).prefix(wanted))
        case .bytes(let size):
            var chosen: Set<PackID> = []
            var sum: UInt64 = 0
            for id in try mixed(packs.keys.sorted(), entropy) where sum < size.bytes {
                chosen.insert(id)
                sum += packs[id]?.size ?? 0
            }
            return chosen
        case .oldest(let order):
            var chosen: Set<PackID> = []
            var sum: UInt64 = 0
            for id in packs.keys.sorted(by: order.comes(_:before:)) where sum < order.bytes?.bytes ?? .max {
                chosen.insert(id)
                sum += packs[id]?.size ?? 0
            }
            return chosen
        }
    }

    /// A random order (Fisher and Yates, in Durstenfeld's form).
    private func mixed(_ ids: [PackID], _ entropy: any Entropy) throws(HoldfastError) -> [PackID] {
        var ids = ids
        for place in stride(from: ids.count - 1, to: 0, by: -1) {
            // 64 bits over a count of packs: the bias is below 2^-40.
            let other = Int(try entropy.bytes16().w0 % UInt64(place + 1))
            ids.swapAt(place, other)
        }
        return ids
    }
}
