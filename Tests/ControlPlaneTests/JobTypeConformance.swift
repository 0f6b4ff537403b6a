// What every type of job must do.

import ControlPlane
import Primitives
import Scheduling
import TestSupport
import Testing

@Suite("Every type of job")
struct JobTypeConformance {
    private static let actions: [JobAction] = [
        .backup(sources: []), .backup(sources: ["a", "b"]), .forget(sources: [], prune: true),
        .forget(sources: ["a", "b"], prune: true), .forget(sources: ["a"], prune: false), .check(.structure),
        .check(.everything), .check(.time(.seconds(3600))), .check(.bytes(.mebi(1024))), .drill(plan: "nightly"),
        .mirror(to: []), .mirror(to: ["/one", "/two"]), .ledger, .rotate(policies: []),
        .rotate(policies: ["tokens"]), .command(["/bin/true"]),
    ]

    private func job(_ action: JobAction) -> Job {
        Job(name: JobName("job"), action: action, schedule: Schedule(text: "", rule: .every(60), zone: .utc))
    }

    private func end(_ result: ProcessResult, _ output: String = "{\"schema\":\"x/1\"}\n") -> StepEnd {
        StepEnd(result: result, output: Array(output.utf8), errors: [])
    }

    @Test("has its own kind of action, and refuses every other", arguments: actions)
    func kinds(_ action: JobAction) throws {
        let own = JobTypes.type(of: action)
        #expect(type(of: own).kind == action.kind)
        for other in JobTypes.all {
            if type(of: other).kind == action.kind {
                #expect(try !other.steps(of: job(action)).isEmpty)
            } else {
                #expect(throws: HoldfastError.self) { _ = try other.steps(of: job(action)) }
            }
        }
    }

    @Test("succeeds with exit status 0 alone, and is never stopped, killed or late with success", arguments: actions)
    func readings(_ action: JobAction) throws {
        let type = JobTypes.type(of: action)
        let step = try type.steps(of: job(action))[0]
        #expect(type.reading(end(.exited(0)), of: step).outcome == .succeeded)
        for status in Int32(1)...255 { #expect(type.reading(end(.exited(status)), of: step).outcome != .succeeded) }
        #expect(type.reading(end(.signalled(9)), of: step).outcome == .failed)
        #expect(type.reading(end(.timedOut), of: step).outcome == .timedOut)
        #expect(type.reading(end(.terminated), of: step).outcome == .stopped)
    }

    @Test("of this program fails when it says nothing, and takes code and retry class from what it says")
    func reports() throws {
        let type = JobTypes.type(of: .backup(sources: []))
        let step = try type.steps(of: job(.backup(sources: [])))[0]
        for silence in ["", "done\n", "{\"half\":"] {
            #expect(type.reading(end(.exited(0), silence), of: step).outcome == .failed)
        }
        let error = #"{"code":"store-unavailable","message":"gone","retry":"later","schema":"holdfast.error/1"}"#
        let reading = type.reading(end(.exited(1), "noise\n" + error + "\n"), of: step)
        #expect(reading.code == .storeUnavailable && reading.retry == .later && reading.message == "gone")
        let nested = #"{"runs":[{"source":"a"},{"error":{"code":"no-space","message":"full"},"source":"b"}]}"#
        #expect(type.reading(end(.exited(3), nested), of: step).code == .noSpace)
        #expect(type.reading(end(.exited(3), nested), of: step).outcome == .partial)
        #expect(type.reading(end(.exited(4), nested), of: step).outcome == .checkFailed)
    }
}
