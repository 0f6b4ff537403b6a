// A machine that has no process to give.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("A machine without a process to give", .waiting)
struct ShortageTests {
    /// The program under a limit of processes that it reaches itself. No limit holds for root, so another user runs it.
    private func limited(_ run: ProgramRun) -> ProgramRun {
        var limited = run
        limited.wrapper = ["/usr/bin/prlimit", "--nproc=1", "--"]
        guard geteuid() == 0 else { return limited }
        let drop = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
        limited.wrapper = drop + limited.wrapper
        chmod(run.directory.path, 0o755)
        let names = FileManager.default.enumerator(atPath: run.repository)?.compactMap { $0 as? String } ?? []
        for path in [run.repository] + names.map({ run.repository + "/" + $0 }) { chown(path, 65534, 65534) }
        return limited
    }

    @Test("is no fault of the program that was to start: a later try may help")
    func spawn() throws {
        var run = ProgramRun()
        try run.makeRepository()
        run.password = nil
        run.variables["HOLDFAST_PASSWORD_COMMAND"] = "printf integration"
        #expect(try run("snapshots", "--json").status == 0)
        let failed = try limited(run)("snapshots", "--json")
        let report = try failed.json()
        #expect(failed.status == ErrorCode.processFailed.exitStatus, "\(failed.errors)")
        #expect(report["code"] as? String == "process-failed" && report["retry"] as? String == "later", "\(report)")
        #expect((report["message"] as? String)?.contains("Resource temporarily unavailable") == true, "\(report)")
    }
}
