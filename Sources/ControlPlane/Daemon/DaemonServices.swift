// The daemon as a group of services: signals, and the loop on a thread of its own.

import Glibc
import Logging
import Primitives
import ServiceLifecycle
import UnixSignals

/// The loop as a service. A graceful shutdown drains it.
struct RunLoopService: Service {
    let loop: RunLoop

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                // It blocks, so it gets a thread and not one of the cooperative pool.
                let thread = JoinableThread {
                    do throws(HoldfastError) {
                        try loop.run()
                        continuation.resume()
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
                guard let thread else {
                    continuation.resume(
                        throwing: HoldfastError(
                            .processFailed, "no thread for the daemon",
                            hint: "Try again when the machine is less busy.",
                            retry: .later))
                    return
                }
                thread.leave()
            }
        } onGracefulShutdown: {
            loop.drain()
        }
    }
}

/// SIGHUP reads the jobs again.
struct ReloadService: Service {
    let loop: RunLoop

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        for await _ in signals.cancelOnGracefulShutdown() { loop.reload() }
    }
}

/// The daemon.
package enum Daemon {
    /// Runs until SIGTERM or SIGINT, then drains. Blocks the calling thread.
    ///
    /// - Throws: What ``RunLoop/run()`` throws.
    package static func run(_ loop: RunLoop, manager: ServiceManager?, logger: Logger) throws(HoldfastError) {
        let outcome = Monitor<Result<Void, HoldfastError>?>(nil)
        let configuration = ServiceGroupConfiguration(
            services: [
                .init(service: ReloadService(loop: loop)),
                .init(
                    service: RunLoopService(loop: loop), successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .cancelGroup),
            ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        let group = ServiceGroup(configuration: configuration)
        Task {
            do {
                try await group.run()
                outcome.withLock { $0 = .success(()) }
            } catch {
                let own = error as? HoldfastError
                outcome.withLock {
                    $0 = .failure(
                        own ?? HoldfastError(.processFailed, "the daemon failed", hint: "Read the cause.", cause: error)
                    )
                }
            }
        }
        let result = outcome.wait { $0 }
        manager?.tell("STOPPING=1")
        try result.get()
    }
}
