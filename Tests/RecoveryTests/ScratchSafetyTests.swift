// Scratch directories whose user plants links where a drill is about to write.

import CLinux
import Foundation
import Glibc
import Primitives
import Repository
import TestSupport
import Testing

@testable import Recovery
@testable import Workloads

@Suite("A scratch directory")
struct ScratchSafetyTests {
    private func status(_ path: String) throws -> (owner: UInt32, mode: UInt32) {
        var status = stat()
        try #require(lstat(path, &status) == 0, "\(path)")
        return (status.st_uid, status.st_mode & 0o7777)
    }

    private func code(_ body: () throws -> Void) -> ErrorCode? {
        do {
            try body()
            return nil
        } catch { return (error as? HoldfastError)?.code }
    }

    private func read<T>(_ body: @autoclosure () throws -> T) throws -> T { try body() }

    private func scratch(_ parent: String) throws -> DrillScratch {
        try DrillScratch(try ULID(at: SystemClock().now(), entropy: SystemEntropy()), in: parent)
    }

    private var user: ServerUser? { getpwnam("postgres").flatMap { _ in try? ServerUser(for: "/") } }

    @Test("takes no system whose name leads elsewhere, and no plan begins with one")
    func names() throws {
        let directory = TemporaryDirectory()
        let scratch = try scratch(directory.path)
        for name in ["../../elsewhere", "a/b", "..", ".", "", "dir:/srv/www"] {
            #expect(code { _ = try scratch.make(name) } == .usage, "\(name)")
            let system = DrillSystem(name: name, source: "s", point: .latest)
            #expect(code { _ = try DrillPlan(name: "", systems: [system]).ordered() } == .usage, "\(name)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["owner"])
    }

    @Test("is closed to the programs' user until what is restored is whole, and its names stay ours after that")
    func handedOver() throws {
        let directory = TemporaryDirectory()
        let scratch = try scratch(directory.path)
        let place = try scratch.make("site")
        let own = geteuid()
        #expect(try status(place) == (own, 0o700) && status(place + "/data") == (own, 0o700))
        try Data("x".utf8).write(to: URL(fileURLWithPath: place + "/data/file"))
        try ScratchIsolation.handOver(place)
        #expect(try status(place).owner == own)
        guard own == 0, let user else { return }
        #expect(try status(place).mode == 0o710)
        #expect(try status(place + "/data").owner == user.number && status(place + "/data/file").owner == user.number)
    }

    @Test("in which something was planted is not restored into")
    func planted() throws {
        let directory = TemporaryDirectory()
        let scratch = try scratch(directory.path)
        let victim = directory.path + "/victim"
        #expect(mkdir(victim, 0o700) == 0 && symlink(victim, scratch.path + "/site") == 0)
        #expect(code { _ = try scratch.make("site") } == .targetFailed)
        #expect(try FileManager.default.contentsOfDirectory(atPath: victim).isEmpty)
        // Whoever gets between the making of the copy's directory and its opening gains nothing either.
        let place = try scratch.make("other")
        #expect(rmdir(place + "/data") == 0 && symlink(victim, place + "/data") == 0)
        var options = Restorer.writerOptions(ownership: false)
        options.followsTarget = false
        #expect(code { _ = try TreeWriter(target: Array((place + "/data").utf8), options: options) } != nil)
    }

    @Test("is given away without what its user planted in it", .enabled(if: geteuid() == 0))
    func gifts() throws {
        guard let user else { return }
        let directory = TemporaryDirectory()
        let victim = directory.path + "/victim"
        let tree = directory.path + "/tree"
        for path in [victim, tree, tree + "/sub", tree + "/own"] { #expect(mkdir(path, 0o700) == 0) }
        for path in [victim + "/secret", tree + "/sub/file"] {
            try Data("x".utf8).write(to: URL(fileURLWithPath: path))
        }
        #expect(symlink(victim, tree + "/sub/link") == 0)
        #expect(mknod(tree + "/sub/null", S_IFCHR | 0o666, dev_t(0x103)) == 0 && chmod(tree + "/sub/null", 0o666) == 0)
        try user.own(tree)
        #expect(try status(tree).owner == user.number && status(tree + "/sub/file").owner == user.number)
        #expect(try status(tree + "/sub/link").owner == user.number, "the link itself")
        #expect(try status(victim).owner == 0 && status(victim + "/secret").owner == 0)
        #expect(try status(tree + "/sub/null") == (0, 0), "a device")
        // The tree is the user's now, who gives a file of ours a name in it.
        #expect(link(victim + "/secret", tree + "/own/mine") == 0)
        #expect(code { try user.own(tree) } == .targetFailed)
        #expect(try status(victim + "/secret").owner == 0)
        // Links in the place of a tablespace that was made in place lead out of the copy.
        #expect(mkdir(tree + "/pg_tblspc", 0o700) == 0 && symlink(victim, tree + "/pg_tblspc/16500") == 0)
        let place = tree + "/pg_tblspc/16500"
        let copy = RestoredCopy(
            record: try TestRepository.record(PostgresWorkload.kind),
            places: [PostgresWorkload.rootPath: tree, PostgresWorkload.rootPath(ofTablespace: "16500"): place])
        #expect(code { _ = try PostgresScratch.tablespaces(of: PostgresDirectory(tree), copy) } == .targetFailed)
    }

    @Test(
        "gets no tablespace whose number is none", arguments: ["../../victim", "1/2", "", "-1", "16500 ", "4294967296"])
    func tablespaces(number: String) throws {
        let directory = TemporaryDirectory()
        let place = directory.path + "/data"
        let facts = ["tablespace \(number)": "/srv/space", "systemIdentifier": "1"]
        let record = try TestRepository.record(PostgresWorkload.kind, facts)
        #expect(code { _ = try read(record.tablespaces) } == .corruptObject)
        let context = WorkloadContext(
            clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
        var options = WorkloadOptions()
        options.tablespaces = ["/srv/space": directory.path + "/space"]
        let target = PgdataWorkload(path: place, options: options)
        #expect(code { _ = try target.prepareRestore(of: record, context) } == .corruptObject)
        #expect(access(place, F_OK) != 0, "nothing was made")
    }

    @Test("gets no dump whose file is no plain name", arguments: ["../x.dump", "a/b.dump", "", ".."])
    func dumps(file: String) throws {
        let record = try TestRepository.record(DumpWorkload.kind, ["\(file): database": "x"])
        #expect(code { _ = try read(record.dumps) } == .corruptObject)
        let good = try TestRepository.record(DumpWorkload.kind, ["x.dump: database": "x"])
        #expect(try read(good.dumps).map(\.file) == ["x.dump"])
    }

    @Test("that a crash left half made is removed when it is an hour old, and not while it may be under way")
    func halfMade() throws {
        let directory = TemporaryDirectory()
        let fresh = directory.path + "/holdfast-new-drill-fresh"
        let old = directory.path + "/holdfast-new-drill-old"
        for path in [fresh, old] { #expect(mkdir(path, 0o711) == 0) }
        try Data().write(to: URL(fileURLWithPath: old + "/owner"))
        let before = timeval(tv_sec: time(nil) - 7200, tv_usec: 0)
        #expect(utimes(old, [before, before]) == 0)
        #expect(DrillScratch.removeLeftovers(in: directory.path).removed == [old])
        #expect(access(fresh, F_OK) == 0 && access(old, F_OK) != 0)
        let made = try scratch(directory.path)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
                == [
                    URL(fileURLWithPath: made.path).lastPathComponent, "holdfast-new-drill-fresh",
                ].sorted())
    }

    @Test("counts what was unlinked and is still written to")
    func unlinked() throws {
        let directory = TemporaryDirectory()
        let file = directory.path + "/gone"
        var request = ProcessRequest([
            "sh", "-c", "exec 3>'\(file)'; rm '\(file)'; head -c 3000000 /dev/zero >&3; exec sleep 600",
        ])
        request.stopSignal = SIGKILL
        let process = try SystemProcessRunner().start(request, cancellation: Cancellation())
        defer { process.terminate() }
        var limits = DrillLimits()
        limits.disk = ByteCount(1 << 20)
        let watch = try read(
            DrillWatch(limits, directory: directory.path, clock: SystemClock(), parent: Cancellation()))
        defer { watch.stop() }
        for _ in 0..<200 where watch.reason == nil {
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
        }
        #expect(watch.reason?.code == .limitExceeded)
        #expect(watch.mostDisk >= 3_000_000)
    }

    @Test("without a thread to watch it is not used")
    func noThread() throws {
        let directory = TemporaryDirectory()
        #expect(
            code {
                _ = try DrillWatch(
                    DrillLimits(), directory: directory.path, clock: SystemClock(), parent: Cancellation(),
                    start: { _ in nil })
            } == .busy)
    }

    @Test("tells where its servers have their directories, so that the next run finds them wherever they are")
    func notes() throws {
        let directory = TemporaryDirectory()
        let other = TemporaryDirectory()
        var left: DrillScratch? = try scratch(directory.path)
        let path = try #require(left?.path)
        var context = WorkloadContext(
            clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
        context.scratchNotes = path
        var place: ScratchPlace? = try ScratchPlace.make(over: path + "/site/data", in: other.path, context)
        let made = try #require(place?.path)
        #expect(ScratchPlace.noted(in: path) == [made])
        // A crash unlocks both.
        withExtendedLifetime((left, place)) {}
        left = nil
        place = nil
        #expect(DrillScratch.removeLeftovers(in: directory.path).removed == [path])
        #expect(access(made, F_OK) != 0)
    }
}
