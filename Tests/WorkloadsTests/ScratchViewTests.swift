// What programs over a copy see when places that are hidden and places that are not lie within each other.

import Glibc
import Primitives
import TestSupport
import Testing

@testable import Workloads

@Suite("The view of a program over a copy")
struct ScratchViewTests {
    private let directory = TemporaryDirectory()

    private func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    /// Makes directories, each with a file `file` in it.
    private func make(_ names: [String]) {
        for name in names {
            #expect(mkdir(path(name), 0o755) == 0)
            let number = open(path(name) + "/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
            #expect(number >= 0)
            close(number)
        }
    }

    private static func run(_ view: ScratchView, _ script: String) throws -> ToolOutcome {
        let context = WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
        let user = geteuid() == 0 ? [] : ["--user", "--map-current-user", "--keep-caps"]
        let words = ["unshare"] + user + ["--mount", "--pid", "--fork", "--mount-proc", "--"]
        return try ToolRun(words + view.words + ["sh", "-c", script]).run(context)
    }

    /// Whether the rights are there to make one.
    private static let isPossible =
        (try? run(ScratchView(.check, hiding: [], seeing: []), "true"))?.result.isSuccess == true

    @Test(
        "hides what lies in what it hides, and shows what lies in that again, however they lie within each other",
        .enabled(if: isPossible, "namespaces are refused here"))
    func nested() throws {
        make(["all", "all/p", "all/p/home", "all/p/home/state", "all/p/home/copy", "all/p/home/copy/key", "all/p/bin"])
        let view = ScratchView(
            .check, hiding: ["all", "all/p/home", "all/p/home/state", "all/p/home/copy/key"].map(path),
            seeing: ["all/p", "all/p/home/copy", "all/p/bin"].map(path))
        let hidden = ["all", "all/p/home", "all/p/home/state", "all/p/home/copy/key"]
        let seen = ["all/p", "all/p/home/copy", "all/p/bin"]
        let outcome = try Self.run(view, "cd '\(directory.path)' && find . -name file | sort")
        #expect(outcome.result.isSuccess, "\(outcome.complaint)")
        let files = String(decoding: outcome.head, as: UTF8.self).split(separator: "\n").map { String($0.dropFirst(2)) }
        #expect(files == seen.map { $0 + "/file" }.sorted(), "\(files)")
        for name in hidden { #expect(view.hides(path(name) + "/file") != nil, "\(name)") }
        for name in seen { #expect(view.hides(path(name) + "/file") == nil, "\(name)") }
    }

    @Test(
        "that cannot be made is told as such, and not as what the program says of the copy",
        .enabled(if: isPossible, "namespaces are refused here"))
    func impossible() throws {
        make(["gone"])
        let view = ScratchView(.check, hiding: [path("gone")], seeing: [])
        #expect(unlink(path("gone/file")) == 0 && rmdir(path("gone")) == 0)
        let error = #expect(throws: HoldfastError.self) { _ = try Self.run(view, "exit 3") }
        #expect(error?.code == .processFailed, "\(error?.message ?? "")")
        #expect(error?.message.contains("gone") == true, "\(error?.message ?? "")")
        // What the program itself ends with is its own word.
        #expect(try Self.run(ScratchView(.check, hiding: [], seeing: []), "exit 3").result == .exited(3))
    }
}
