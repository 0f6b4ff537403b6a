// What a program in a mount namespace of its own sees of the host's files.

import CLinux
import Glibc
import Primitives

/// Directories that are covered by empty ones, and what is put back into those.
///
/// Always: `/run` with the sockets of servers, `/dev/shm`, and the usual places of data of PostgreSQL. For programs of
/// the engine, which work on what a snapshot says, also homes and temporary directories. A file is covered by
/// `/dev/null`. All else of the host is seen as its rights allow.
struct ScratchView: Sendable {
    enum Kind: Sendable {
        /// A server, or a tool that reads what a snapshot holds.
        case engine
        /// A program that the operator named, which may lie anywhere.
        case check
    }

    private static let always = ["/run", "/var/run", "/dev/shm", "/var/lib/postgresql", "/var/lib/pgsql"]
    private static let ofPeople = ["/home", "/root", "/tmp", "/var/tmp"]
    /// Without these no program runs.
    private static let needed: Set<String> = ["/", "/usr", "/etc", "/bin", "/lib", "/lib64", "/sbin", "/dev", "/proc"]
    private static let openToAll: Set<String> = ["/tmp", "/var/tmp", "/dev/shm"]

    private static let mostPlaces = 7

    private let covered: [String]
    private let kept: [String]

    init(_ kind: Kind, hiding: [String], seeing: [String]) {
        var paths = Self.always + hiding
        if kind == .engine {
            paths += Self.ofPeople + ["HOME", "TMPDIR"].compactMap { ProcessEnvironment.value($0) }
        }
        var covered: [String] = []
        for path in paths {
            guard let real = Host.realPath(path), !Self.needed.contains(real), !covered.contains(real) else { continue }
            covered.append(real)
        }
        self.covered = covered.sorted()
        kept = Set(seeing.compactMap(Host.realPath)).sorted()
    }

    /// The true path of what no program sees in this view; nil for what is not there, or in sight.
    func hides(_ path: String) -> String? {
        guard let real = Host.realPath(path) else { return nil }
        return steps.reversed().first { real == $0.path || Self.isBelow(real, $0.path) }?.isCover == true ? real : nil
    }

    private static func isBelow(_ path: String, _ directory: String) -> Bool { path.hasPrefix(directory + "/") }

    /// What must be seen in spite of what covers it.
    private var placesInCovered: [String] { kept.filter { place in covered.contains { Self.isBelow(place, $0) } } }

    /// One step of the making: a path that is covered, or put back into what was.
    private struct Step {
        var path: String
        var isCover: Bool
    }

    /// In their order, those above before those below: what is put back brings along what lies in it, which is covered
    /// then, and so on. What lies in a covered place is not there any more, and needs no cover.
    private var steps: [Step] {
        // The shell has names of one digit for descriptors; what more must be seen lies in what is not covered then.
        let others = placesInCovered.dropFirst(Self.mostPlaces)
        let places = placesInCovered.prefix(Self.mostPlaces).map { Step(path: $0, isCover: false) }
        let covers = covered.filter { path in !kept.contains(path) && !others.contains { Self.isBelow($0, path) } }
            .map { Step(path: $0, isCover: true) }
        var steps: [Step] = []
        for step in (places + covers).sorted(by: { $0.path < $1.path }) {
            let above = steps.filter { Self.isBelow(step.path, $0.path) }
            // A file system of its own does not come along with what is put back above it.
            if step.isCover ? above.last?.isCover != true : above.contains(where: \.isCover) { steps.append(step) }
        }
        return steps
    }

    /// What a program is called whose view is made first, and how it ends when that cannot be, as mount(8) does.
    static let programName = "holdfast-view"
    static let failureStatus: Int32 = 32

    /// The words that make it so, run by the first process of the namespaces, which then waits for the program: signals
    /// that end a program by default do not end the first process, and all the others end with it.
    var words: [String] {
        let steps = steps
        let paths = steps.map(\.path)
        let places = steps.filter { !$0.isCover }.map(\.path)
        func name(_ path: String) -> String { "\"${\((paths.firstIndex(of: path) ?? 0) + 1)}\"" }
        var lines = ["set -e", "trap 'exit \(Self.failureStatus)' EXIT", "mask=$(umask)", "umask 022"]
        for (index, place) in places.enumerated() { lines.append("exec \(index + 3)<\(name(place))") }
        for step in steps {
            guard let index = places.firstIndex(of: step.path) else {
                lines.append(cover(step.path, name(step.path)))
                continue
            }
            lines.append("mkdir -p \(name(step.path))")
            lines.append("mount -n -c --bind /proc/self/fd/\(index + 3) \(name(step.path))")
            lines.append("exec \(index + 3)<&-")
        }
        // A working directory that is covered now would still show what lies there.
        lines += [
            "cd \"$PWD\" 2>/dev/null || cd /", "umask \"$mask\"", "set +e", "trap - EXIT", "shift \(paths.count)",
            "\"$@\"", "exit $?",
        ]
        return ["sh", "-c", lines.joined(separator: "\n"), Self.programName] + paths
    }

    private func cover(_ path: String, _ name: String) -> String {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            return "mount -n --bind /dev/null \(name)"
        }
        let mode = Self.openToAll.contains(path) ? "1777" : "755"
        let size = path == "/dev/shm" ? "" : ",size=64m"
        return "mount -n -t tmpfs -o nosuid,nodev,mode=\(mode)\(size) holdfast \(name)"
    }
}
