// The run store of a verb, and the ways to this program itself.

import ControlPlane
import FoundationEssentials
import Glibc
import Primitives
import Repository
import Scheduling
import State

extension CommandContext {
    /// The directory of the state, where runs are remembered.
    ///
    /// - Throws: `.usage` when nothing says where it is.
    func stateDirectory() throws(HoldfastError) -> String {
        if let directory = options.stateDirectory(variables, isRoot: geteuid() == 0) {
            return Host.absolutePath(directory)
        }
        throw HoldfastError(
            .usage, "nothing says where runs are remembered",
            hint: "Give --state-dir DIRECTORY, or set HOLDFAST_STATE_DIR, XDG_STATE_HOME or HOME.")
    }

    /// Where the run store is, or would be.
    func runStorePath() throws(HoldfastError) -> String { "\(try stateDirectory())/\(SQLiteRunStore.fileName)" }

    /// Opens the run store, and makes it when there is none.
    func openRunStore() throws(HoldfastError) -> SQLiteRunStore {
        try SQLiteRunStore(
            path: try runStorePath(), clock: SQLiteRunStore.systemClock(clock), entropy: environment.entropy)
    }

    /// Opens the run store that is there. A verb that looks, or that orders something of jobs which others run, makes
    /// none: an empty one beside that of the daemon would say that all is well.
    ///
    /// - Throws: `.usage` when there is none.
    func existingRunStore() throws(HoldfastError) -> SQLiteRunStore {
        let path = try runStorePath()
        guard FileManager.default.fileExists(atPath: path) else {
            throw HoldfastError(
                .usage, "there is no state of runs at \(path)",
                hint: "Name that of the daemon or the timers with --state-dir or HOLDFAST_STATE_DIR; "
                    + "the daemon, or the first `holdfast schedule run`, makes it.")
        }
        return try openRunStore()
    }

    func outcomeSpool() throws(HoldfastError) -> OutcomeSpool {
        var spool = OutcomeSpool(directory: "\(try stateDirectory())/outcomes")
        let output = output
        spool.onDamaged = { path, reason in
            output.warning("\(path) was set aside: \(ShownText.line(reason))")
        }
        spool.onUnreadable = { path, reason in
            output.warning("\(path) is left out: \(ShownText.line(reason))")
        }
        return spool
    }

    /// The global options that a child of this program needs to be about the same configuration and state.
    func childOptions() throws(HoldfastError) -> [String] {
        var words = ["--state-dir", try stateDirectory()]
        if let path = ConfigurationPlace.path(options, variables) { words += ["--config", Host.absolutePath(path)] }
        if options.noCache { words.append("--no-cache") }
        if let cache = options.cacheDir { words += ["--cache-dir", Host.absolutePath(cache)] }
        return words
    }
}

extension CommandContext {
    /// The options about places that were given, for a program that has neither this directory nor these variables.
    func placeOptions() -> [String] {
        var words: [String] = []
        if let state = options.stateDir ?? variables["HOLDFAST_STATE_DIR"] {
            words += ["--state-dir", Host.absolutePath(state)]
        }
        if options.noCache { words.append("--no-cache") }
        if let cache = options.cacheDir { words += ["--cache-dir", Host.absolutePath(cache)] }
        return words
    }
}

/// This program.
enum OwnProgram {
    /// Where it lies, also when it was found along PATH.
    static func path() throws(HoldfastError) -> String {
        do {
            return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        } catch {
            throw HoldfastError(
                .processFailed, "this program cannot find its own file", hint: "Mount /proc.", cause: error)
        }
    }
}

/// Who gives an order.
enum Actor {
    /// The name of the user, and through whom it became root.
    static var name: String {
        let own = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(getuid())"
        guard let first = ProcessEnvironment.value("SUDO_USER"), getuid() == 0 else { return own }
        return "\(first) as \(own)"
    }
}
