// Dumps into a throw-away cluster that is made for them.

import Glibc
import Primitives
import Repository

extension DumpWorkload {
    private static let pieceSize = 1 << 20

    /// Makes a cluster beside the restored dumps, starts a server over it and restores them all; nil where the programs
    /// of the source's version are not installed, since dumps are looked through without them too.
    ///
    /// What pg_restore refuses and what differs from the record are findings of the server.
    /// - Throws: `.processFailed` when the server does not start, or pg_restore lacks something; `.targetFailed`,
    ///   `.interrupted`. What was found of the dumps until then is in the context's ``StartFindings``.
    package func startScratch(
        over copy: RestoredCopy, _ context: WorkloadContext
    ) throws(HoldfastError) -> (any WorkloadScratch)? {
        guard let dumps = copy.places[Self.rootPath],
            let major = copy.record.facts["serverVersion"].flatMap({ Int($0.prefix { $0.isNumber }) })
        else {
            throw HoldfastError(.targetFailed, "the dumps were not restored", hint: "Restore the whole snapshot.")
        }
        let programs: PostgresPrograms
        do throws(HoldfastError) {
            programs = try PostgresPrograms.find("initdb", major: major, context)
        } catch {
            if error.code == .processFailed { return nil }
            throw error
        }
        let scratch = try PostgresScratch.startEmpty(at: dumps + "-cluster", programs, beside: dumps, context)
        do throws(HoldfastError) {
            scratch.findings = try Self.fill(scratch, from: dumps, copy.record, context)
        } catch {
            scratch.stop()
            throw error
        }
        return scratch
    }

    private static func fill(
        _ scratch: PostgresScratch, from dumps: String, _ record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        var target = DumpWorkload(rest: try scratch.address(database: "").text)
        target.confinement = scratch.confinement
        let stage = try target.prepareRestore(of: record, context)
        var findings: [WorkloadFinding] = []
        for stream in stage.streams {
            let name = stream.path.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
            do throws(HoldfastError) {
                try feed("\(dumps)/\(name)", into: stream.receiver, context)
            } catch {
                stream.receiver.abort()
                guard PostgresBlame.error(error) == .copy else {
                    context.startFindings?.add(findings)
                    throw error
                }
                findings.append(
                    WorkloadFinding(.error, "pg_restore", "\(name): \(error.description)", code: .checkFailed))
            }
        }
        return findings + (try target.finishRestore(stage, of: record, isComplete: findings.isEmpty, context))
    }

    private static func feed(
        _ path: String, into receiver: any StreamReceiver, _ context: WorkloadContext
    ) throws(HoldfastError) {
        let file = try openRegular(path, shown: path, code: .targetFailed, contents: .checkFailed)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            try context.cancellation.check()
            let (count, number) = retryingInterrupts { Glibc.read(file.number, buffer.baseAddress, buffer.count) }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: path, code: .targetFailed) }
            if count == 0 { break }
            try receiver.receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        try receiver.finish()
    }
}

extension PostgresScratch {
    private static let superuser = "postgres"

    /// Makes a cluster at `data`, in place of what is there, and starts a server over it, kept apart as one over a copy
    /// is.
    ///
    /// - Parameter neighbour: What is there already; the server runs as its owner.
    static func startEmpty(
        at data: String, _ programs: PostgresPrograms, beside neighbour: String, _ context: WorkloadContext
    ) throws(HoldfastError) -> PostgresScratch {
        ScratchPlace.removeLeftovers(stop: stopServer)
        let user = try ServerUser(for: neighbour)
        if let process = try PostgresDirectory(data).runningServer() {
            throw HoldfastError(
                .targetFailed, "a server runs in \(data), process \(process)", hint: "Wait until it is done.")
        }
        // One that was left by a crash, or whatever else stands there: the server's user may write beside it.
        try ScratchTree.remove(data)
        guard mkdir(data, 0o700) == 0 else {
            throw HoldfastError.systemCall("make directory", errno, on: data, code: .targetFailed)
        }
        try user.own(data)
        guard user.reaches(data) else {
            try ScratchTree.remove(data)
            throw HoldfastError(
                .targetFailed, "the user \(user.name), as whom the server has to run, cannot get to \(data)",
                hint: "Use a directory whose parents everybody may pass.")
        }
        var preparation = Preparation(
            data: data, programs: programs, user: user, findings: [], control: [:],
            isolation: try context.settledIsolation())
        preparation.isMade = true
        preparation.rules = try ScratchRules([superuser], servedBy: user)
        // The rules that it makes are never read, and let nobody in.
        let arguments = ["-D", data, "-U", superuser, "-A", "reject", "-N", "--encoding=UTF8", "--locale=C.UTF-8"]
        let made = try ToolRun(preparation.words("initdb", arguments)).run(context)
        guard made.result.isSuccess else {
            try ScratchTree.remove(data)
            throw HoldfastError(
                .processFailed, "initdb failed: \(made.result): \(made.complaint)",
                hint: "Look whether the server's programs are installed in full.")
        }
        let place = try ScratchPlace.make(over: data, context)
        var running: (any RunningProcess)?
        do throws(HoldfastError) {
            let process = try launch(preparation, place, context)
            running = process
            let (address, role) = try wait(
                for: process, preparation, place, until: context.clock.uptime() + patience, patience, context)
            return PostgresScratch(preparation, place, process, address: address, role: role)
        } catch {
            running?.terminate()
            _ = running?.wait()
            place.remove()
            try? ScratchTree.remove(data)
            // There is nothing of the dumps in it yet.
            throw error.ofThePlace
        }
    }
}
