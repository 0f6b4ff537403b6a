// What all systems of one drill work with.

import ObjectStore
import Primitives
import Repository
import Workloads

/// The surroundings of a drill.
struct DrillShared {
    /// Reads through ``store`` and stops with the watch.
    let repository: Repository
    let store: MeasuringStore
    let scratch: DrillScratch
    let watch: DrillWatch
    let recorder: DrillRecorder
    let isolation: ScratchIsolation
    let sabotage: SabotageKind?
    let threads: Int
    let progress: Progress
    let runner: any ProcessRunner
    /// Nil where no value of a secret may be opened.
    let witness: (any SecretWitness)?
    let tell: (DrillEvent) -> Void

    var clock: any Clock { repository.clock }

    func context(_ cancellation: Cancellation) -> WorkloadContext {
        var context = WorkloadContext(
            clock: clock, entropy: repository.entropy, cancellation: cancellation, runner: runner)
        context.isolation = isolation
        context.scratchNotes = scratch.path
        return context
    }

    /// Runs a step; when a limit stopped it, that is what is thrown.
    func guarded<R>(_ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try body()
        } catch {
            if watch.cancellation.isRaised, let reason = watch.reason { throw reason }
            throw error
        }
    }
}
