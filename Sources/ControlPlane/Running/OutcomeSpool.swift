// Ends of runs that could not be written into the state database, as files beside it.

import CLinux
import FoundationEssentials
import Glibc
import Primitives
import Scheduling
import State

/// A directory of ends of runs that wait to be written.
package struct OutcomeSpool: Sendable {
    private static let ending = ".end.json"
    private static let maximumFiles = 10_000
    private static let maximumSize = ByteCount(1 << 20)

    private static let damagedEnding = ".damaged"

    package let directory: String
    /// Told of each file that was set aside, and why: `NAME.damaged` beside it.
    package var onDamaged: @Sendable (_ path: String, _ reason: String) -> Void = { _, _ in }
    /// Told of each file that cannot be read and stays where it is, at each look.
    package var onUnreadable: @Sendable (_ path: String, _ reason: String) -> Void = { _, _ in }

    /// What a look at the directory came to.
    package struct Look: Sendable, Hashable {
        /// How many ends were written into the store.
        package var written = 0
        /// The names of the files that cannot be read, without their endings, with their paths and why.
        package var unreadable: [Unreadable] = []
        /// Tokens of runs whose ends may be there and were not written: nobody may take these for dead.
        package var hidden: Set<Int64> = []
        /// Why nobody can tell which ends there are; any run may have one.
        package var failure: String?
    }

    /// A file that cannot be read.
    package struct Unreadable: Sendable, Hashable {
        package var name, path, reason: String
    }

    package init(directory: String) { self.directory = directory }

    private struct Outcome: Codable {
        var job: String
        var scheduled, fence: Int64
        var attempt: Int
        var began, ended: Int64
        var outcome: String
        var code, message: String?
        var output, errors: String
        var retry: Int64?
        var extent, repository, memory: String?
        var kind: String?
    }

    /// Takes room on the disk for the end of a run, before its work fills it.
    ///
    /// - Throws: `.noSpace` (`retry: .later`) when there is none.
    package func reserve() throws(HoldfastError) -> OutcomeRoom {
        try makeDirectory()
        return try OutcomeRoom(in: directory)
    }

    private func makeDirectory() throws(HoldfastError) {
        if mkdir(directory, 0o700) == 0 {
            try syncDirectory("\(directory)/..")
        } else if errno != EEXIST {
            throw HoldfastError.systemCall("make directory", errno, on: directory)
        }
    }

    /// Puts the end of a run into a file of its own, in the room that was taken for it where there is some.
    ///
    /// - Durability: on return the file and its name are on stable storage.
    package func put(
        _ claim: RunClaim, _ completion: RunCompletion, at now: Timestamp, in room: OutcomeRoom? = nil
    ) throws(HoldfastError) {
        let outcome = Outcome(
            job: claim.key.job.description, scheduled: claim.key.scheduled.seconds, fence: claim.fence,
            attempt: claim.attempt, began: claim.began.nanoseconds, ended: now.nanoseconds,
            outcome: completion.outcome.rawValue, code: completion.code, message: completion.message,
            output: completion.output, errors: completion.errors, retry: completion.retryAt?.nanoseconds,
            extent: completion.check?.extent.rawValue, repository: completion.check?.repository,
            memory: completion.check?.memory, kind: completion.kind)
        guard let bytes = try? JSONEncoder().encode(outcome) else {
            throw HoldfastError(.inputOutput, "the end of a run cannot be written as JSON", hint: "Report this.")
        }
        let path = "\(directory)/\(claim.fence)"
        if let room {
            try room.fill(Array(bytes), as: path + Self.ending)
            return try syncDirectory(directory)
        }
        try makeDirectory()
        unlink(path + ".new")
        var text = Array(bytes)
        guard try SecretFile.create(path + ".new", SecretBytes(wiping: &text)),
            rename(path + ".new", path + Self.ending) == 0
        else {
            throw HoldfastError.systemCall("write", errno, on: path)
        }
        try syncDirectory(directory)
    }

    /// Takes the end of a run away again, which has been written.
    package func remove(_ claim: RunClaim) { unlink("\(directory)/\(claim.fence)" + Self.ending) }

    /// Writes what waits into `store` and takes its files away. What cannot be written yet stays, and so does what
    /// cannot be read or holds no end of a run: it keeps no other from being written.
    ///
    /// - Parameter now: When it is written, by which the lines are noted; where it is not given, when the runs ended.
    package func absorb(into store: any RunStore, at now: Timestamp? = nil) throws(HoldfastError) -> Look {
        var look = Look()
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            if access(directory, F_OK) != 0, errno == ENOENT { return look }
            look.failure = "\(directory) cannot be listed"
            return look
        }
        for name in names where name.hasSuffix(OutcomeRoom.ending) { OutcomeRoom.clear("\(directory)/\(name)") }
        let ends = names.filter { $0.hasSuffix(Self.ending) }.sorted()
        // What is not looked at now is as good as hidden.
        look.hidden = Set(ends.dropFirst(Self.maximumFiles).compactMap { Int64($0.dropLast(Self.ending.count)) })
        for name in ends.prefix(Self.maximumFiles) {
            let path = "\(directory)/\(name)"
            let (claim, completion, ended): (RunClaim, RunCompletion, Timestamp)
            do throws(HoldfastError) {
                (claim, completion, ended) = try Self.read(path)
            } catch {
                // Its run has taken it away.
                if access(path, F_OK) != 0, errno == ENOENT { continue }
                // What cannot be read today, or is damaged, stood for an end all the same.
                onUnreadable(path, error.message)
                let stem = String(name.dropLast(Self.ending.count))
                look.unreadable.append(Unreadable(name: stem, path: path, reason: error.message))
                if let token = Int64(stem) { look.hidden.insert(token) }
                continue
            }
            do throws(HoldfastError) {
                try store.complete(claim, completion, at: now ?? ended)
                look.written += 1
            } catch {
                // The run was given to another in the meantime, whose word counts.
                guard error.code == .leaseLost else { throw error }
            }
            unlink(path)
        }
        return look
    }

    /// Puts a file where nobody takes it for an end. Says whether it is there now.
    package func setAside(_ path: String, _ reason: String) -> Bool {
        let isMoved = rename(path, path + Self.damagedEnding) == 0
        onDamaged(path, reason)
        return isMoved
    }

    /// Whether there is a file of this name, to be read or set aside.
    package func has(_ name: String) -> Bool {
        let path = "\(directory)/\(name)" + Self.ending
        var found = stat()
        return lstat(path, &found) == 0 || lstat(path + Self.damagedEnding, &found) == 0
    }

    private static func read(_ path: String) throws(HoldfastError) -> (RunClaim, RunCompletion, Timestamp) {
        let bytes = try InputFile.read(path, limit: maximumSize, waits: false)
        guard let outcome = try? JSONDecoder().decode(Outcome.self, from: Data(bytes)),
            let known = RunOutcome(rawValue: outcome.outcome)
        else {
            throw HoldfastError(
                .corruptObject, "\(path) holds no end of a run", hint: "Look at it, then take it away.")
        }
        var completion = RunCompletion(known, code: outcome.code, message: outcome.message)
        completion.output = outcome.output
        completion.errors = outcome.errors
        completion.retryAt = outcome.retry.map { Timestamp(nanoseconds: $0) }
        completion.check = outcome.extent.flatMap { CheckExtent(rawValue: $0) }
            .map { CheckNote($0, repository: outcome.repository, memory: outcome.memory) }
        completion.kind = outcome.kind
        completion.ended = Timestamp(nanoseconds: outcome.ended)
        let key = RunKey(job: JobName(outcome.job), scheduled: Timestamp(seconds: outcome.scheduled))
        let claim = RunClaim(
            key: key, fence: outcome.fence, attempt: outcome.attempt, began: Timestamp(nanoseconds: outcome.began))
        return (claim, completion, Timestamp(nanoseconds: outcome.ended))
    }
}
