// How what runs in a scratch environment is kept from the network, from other processes, from files and from rights.

import Glibc
import Primitives

/// What is settled once for all that runs over the copies of a drill.
///
/// What was found to work at the start is used to the end: a program that cannot be kept apart that way any more does
/// not run.
package struct ScratchIsolation: Sendable {
    package enum Level: String, Sendable {
        /// Network, processes, shared memory and mounts of its own (unshare(1)): see ``ScratchView``.
        case namespaces
        /// A network of its own without interfaces; sockets in the file system and all files are in sight.
        case network
        /// No right to make namespaces.
        case open
    }

    package let level: Level
    private let hidden: [String]
    private let hiddenByName: [String]
    private let kept: [String]

    /// Tries what the rights and the kernel allow.
    ///
    /// - Parameters:
    ///   - secrets: Directories and files that no program sees, besides those of ``ScratchView``.
    ///   - keeping: Directories that programs see, even when they lie in a hidden one.
    /// - Throws: `.interrupted`.
    package init(
        _ context: WorkloadContext, hiding secrets: ScratchSecrets = ScratchSecrets(), keeping: [String] = []
    ) throws(HoldfastError) {
        let hiding = secrets.paths
        hidden = hiding
        let view = ScratchView(.check, hiding: hiding, seeing: keeping + [ScratchPlace.parent])
        hiddenByName = secrets.summary(view.hides)
        kept = keeping
        var best = Level.open
        for level in [Level.namespaces, .network] where best == .open {
            let view = ScratchView(.check, hiding: hiding, seeing: keeping)
            do throws(HoldfastError) {
                let words = Self.apart(level, view) + ["true"]
                if try ToolRun(words).run(context).result.isSuccess { best = level }
            } catch {
                if error.code == .interrupted { throw error }
            }
        }
        level = best
    }

    /// Whether programs get a network namespace without interfaces.
    package var deniesNetwork: Bool { level != .open }

    /// As the evidence says it.
    package var network: String { deniesNetwork ? "namespace" : "open: no right to make a network namespace" }

    /// What programs are kept from, for the record.
    package var summary: String {
        switch level {
        case .namespaces:
            (["network", "processes", "shared memory", "/run"] + hiddenByName).joined(separator: ", ")
                + "; servers also homes and /tmp"
        case .network: "network; no right to hide processes and files"
        case .open: "nothing but rights of other users"
        }
    }

    /// The user that programs run as over a copy below `directory`.
    ///
    /// - Throws: `.targetFailed` for root on a machine without another user to be.
    package static func account(for directory: String) throws(HoldfastError) -> String {
        let user = try ServerUser(for: directory)
        return user.name.isEmpty ? "\(user.number)" : user.name
    }

    /// Gives all in `directory` to the user that programs run as, and then lets that user pass through it, and nobody
    /// else. The directory itself stays ours, so that its names mean what they meant.
    ///
    /// - Precondition: Nobody else gets into it before.
    package static func handOver(_ directory: String) throws(HoldfastError) {
        let user = try ServerUser(for: directory)
        for name in ScratchTree.names(in: directory).sorted() { try user.own("\(directory)/\(name)", isClosed: true) }
        try user.admit(to: directory)
    }

    // MARK: Words

    /// The words that start a program of the operator as the owner of `directory`, and that end it with us, as well as
    /// what it started, where processes can be kept apart.
    func words(_ words: [String], for directory: String) throws(HoldfastError) -> [String] {
        let user = try ServerUser(for: directory)
        guard user.reaches(directory) else {
            throw HoldfastError(
                .targetFailed, "the user \(user.name), as whom programs run, cannot get to \(directory)",
                hint: "Name a scratch directory whose parents everybody may pass with --scratch.")
        }
        let view = ScratchView(.check, hiding: hidden, seeing: kept + [ScratchPlace.parent])
        return Self.ending + Self.apart(level, view) + rights(user, endsWithUs: level != .namespaces) + words
    }

    /// The words that start a program of the engine over a copy: it sees `places`, and next to nothing else of what
    /// people keep.
    ///
    /// - Parameter endsWithUs: It is killed when this thread ends; not for what other threads may wait for.
    func words(
        _ words: [String], as user: ServerUser, seeing places: [String], endsWithUs: Bool = true
    ) -> [String] {
        let view = ScratchView(.engine, hiding: hidden, seeing: places)
        let start = endsWithUs ? Self.ending : []
        return start + Self.apart(level, view)
            + rights(user, endsWithUs: endsWithUs && level != .namespaces) + words
    }

    /// What asks a program that was started with these words to end at once: the first process of a namespace of
    /// processes waits for it, and takes the rest along.
    var serverStopSignal: Int32 { level == .namespaces ? SIGINT : SIGQUIT }

    private static let ending = ["setpriv", "--pdeathsig", "KILL", "--"]

    private func rights(_ user: ServerUser, endsWithUs: Bool) -> [String] {
        let last = (endsWithUs ? ["--pdeathsig", "KILL"] : []) + ["--no-new-privs", "--"]
        if user.isOther {
            return ["setpriv", "--reuid=\(user.number)", "--regid=\(user.group)", "--clear-groups"] + last
        }
        // In a namespace of our own we have all rights over it, and what we start shall have none.
        let drops =
            level == .namespaces ? ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"] : []
        return ["setpriv"] + drops + last
    }

    /// What stands before all that.
    private static func apart(_ level: Level, _ view: ScratchView) -> [String] {
        let isRoot = geteuid() == 0
        switch level {
        case .open: return []
        case .network:
            return ["unshare"] + (isRoot ? [] : ["--user", "--map-current-user"]) + ["--net", "--"]
        case .namespaces:
            return ["unshare"] + (isRoot ? [] : ["--user", "--map-current-user", "--keep-caps"])
                + ["--net", "--ipc", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]
                + view.words
        }
    }
}
