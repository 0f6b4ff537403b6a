// Threads for tests that wait for programs and servers.

import Foundation
import Synchronization
import Testing

/// Runs a test on a thread that may wait.
///
/// A test that starts a program waits until that ends, and holds its thread meanwhile. The pool of the language has a
/// thread for each processor and no more, so that two tests that wait would keep two processors idle, and everything
/// else from running. Tests with this trait run on ``WaitingThreads`` instead, and so do their structured child tasks.
package struct WaitingTrait: SuiteTrait, TestTrait, TestScoping {
    package var isRecursive: Bool { true }

    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(WaitingThreads.shared) { try await function() }
    }
}

extension Trait where Self == WaitingTrait {
    /// The test waits for programs or servers.
    package static var waiting: WaitingTrait { WaitingTrait() }
}

/// A fixed number of threads that take jobs in the order in which they came.
package final class WaitingThreads: TaskExecutor {
    package static let shared = WaitingThreads(count: 2 * ProcessInfo.processInfo.activeProcessorCount)

    private let jobs = Mutex<[UnownedJob]>([])
    private let ready = DispatchSemaphore(value: 0)

    private init(count: Int) {
        for number in 1...count {
            let thread = Thread { [self] in
                while true { runNext() }
            }
            thread.name = "waiting-\(number)"
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        ready.signal()
    }

    private func runNext() {
        ready.wait()
        let job = jobs.withLock { $0.removeFirst() }
        job.runSynchronously(on: asUnownedTaskExecutor())
    }
}
