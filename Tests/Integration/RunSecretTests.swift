// Secrets that a run is handed and prints.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("Secrets that a run prints", .waiting)
struct RunSecretTests {
    @Test("are kept nowhere, whether they came as a file or by the configuration")
    func printed() throws {
        let jobs = try JobRun()
        let handed = try jobs.run.file("handed", "fischers-fritz\n")
        let configured = try jobs.run.file("password", "sieben-zwerge")
        try jobs.script("job", "cat \"$HOLDFAST_PASSWORD_FILE\" \(configured) >&2; exit 1")
        var run = jobs.run
        run.password = nil
        run.variables["HOLDFAST_PASSWORD_FILE"] = handed
        #expect(try run.start(["schedule", "run", "job"], naming: false).finish().status == 1)
        let state = jobs.run.directory.path + "/.local/state/holdfast"
        for name in try FileManager.default.contentsOfDirectory(atPath: state) where name.hasPrefix("runs.sqlite") {
            let bytes = try Data(contentsOf: URL(filePath: "\(state)/\(name)"))
            for secret in ["fischers-fritz", "sieben-zwerge"] {
                #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(secret) is in \(name)")
            }
        }
        let history = try jobs.history("job")
        #expect(history.count == 1)
    }

    @Test("are a run's own, also when the daemon is killed that handed them on")
    func handedOn() throws {
        let jobs = try JobRun()
        try jobs.script(
            "job",
            """
            cat "$HOLDFAST_PASSWORD_FILE" > "$0.first"
            while [ ! -e "$0.go" ]; do sleep 0.1; done
            cat "$HOLDFAST_PASSWORD_FILE" > "$0.second" || echo none > "$0.second"
            """, "when: {every: 1s}")
        var run = jobs.run
        run.password = "fischers-fritz"
        let daemon = try run.start(["daemon"], naming: false)
        try jobs.wait(for: "the run") { jobs.text("job.sh.first") == "fischers-fritz" }
        daemon.send(SIGKILL)
        _ = try daemon.finish()
        _ = try jobs.run.file("job.sh.go", "")
        try jobs.wait(for: "its second step") { !jobs.text("job.sh.second").isEmpty }
        #expect(jobs.text("job.sh.second") == "fischers-fritz")
    }
}
