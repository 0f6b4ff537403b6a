// A repository on a mount whose server does not answer: every call on it hangs.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

/// A mount of FUSE with nobody behind it.
private final class SilentMount {
    static let isPossible = geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0

    private static let script = """
        import ctypes, os, sys, time
        libc, fd = ctypes.CDLL(None, use_errno=True), os.open("/dev/fuse", os.O_RDWR)
        options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
        if libc.mount(b"silent", sys.argv[1].encode(), b"fuse", 0, options) != 0: sys.exit(1)
        open(sys.argv[2], "w").close()
        time.sleep(3600)
        """
    private let process = Process()
    private let path: String

    init(_ path: String, ready: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.script, path, ready]
        try process.run()
    }

    /// Calls that hang fail now, and later ones find an empty directory.
    func end() {
        // Not SIGTERM: the child may have been born with that signal blocked.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        _ = umount2(path, Int32(MNT_DETACH))
    }

    deinit { if process.isRunning { end() } }
}

@Suite("A repository that does not answer", .waiting)
struct SilentMountTests {
    @Test(
        "holds up no other job, is told of, and its own jobs run when it answers",
        .enabled(if: SilentMount.isPossible, "needs root and /dev/fuse"))
    func hangs() throws {
        let jobs = try JobRun()
        let place = jobs.run.directory.path + "/far"
        let mount = try SilentMount(place, ready: jobs.run.directory.path + "/mounted")
        defer { mount.end() }
        try jobs.wait(for: "the mount") {
            FileManager.default.fileExists(atPath: jobs.run.directory.path + "/mounted")
        }
        let path = jobs.run.directory.path + "/holdfast.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        _ = try jobs.run.file(
            "holdfast.yaml",
            text.replacing("repositories:\n", with: "repositories:\n  far: {location: \(place)}\n")
                + "\ndefaults: {repository: main}\n")
        let often = "when: {every: 1s}\ndeadlines: {start: 1s}"
        try jobs.script("near", "echo run >> \"$0.out\"", often)
        try jobs.script("far", "echo run >> \"$0.out\"", often + "\nrepository: far")
        try jobs.notify("told")
        let refused = try jobs("schedule", "run", "far")
        #expect(refused.status == 11 && refused.errors.contains("does not answer"), "\(refused.errors)")
        let daemon = try jobs.start("daemon")
        defer { daemon.send(SIGKILL) }
        try jobs.wait(for: "a run of the other job") { !jobs.text("near.sh.out").isEmpty }
        try jobs.wait(for: "the alert") { jobs.text("told").contains("repository/\(place)") }
        try jobs.wait(for: "a record") { try jobs.history("far").contains { "\($0["reason"] ?? "")" == "unreachable" } }
        #expect(jobs.text("far.sh.out").isEmpty)
        let before = jobs.text("near.sh.out").count
        try jobs.wait(for: "more runs of the other job") { jobs.text("near.sh.out").count > before + 4 }
        mount.end()
        try jobs.wait(for: "a run of the job") { !jobs.text("far.sh.out").isEmpty }
        daemon.send(SIGTERM)
        _ = try daemon.finish()
    }
}
