// Looks at the places of repositories that nobody has to wait for: a mount whose server is gone answers no call.

import Primitives
import Scheduling
import Synchronization

/// What a look at a place came to.
package struct PlaceAnswer: Sendable, Hashable {
    /// Nil when it cannot be told, and then it may be any.
    package var site: RepositorySite?
    /// It has not answered in time. What is said of it was so when it answered last.
    package var isSilent: Bool

    package init(_ site: RepositorySite?, isSilent: Bool = false) {
        self.site = site
        self.isSilent = isSilent
    }
}

/// Looks at places on threads of its own, and waits for none longer than ``limit``.
///
/// A look that hangs goes on until its call returns, and no second one is begun meanwhile. At most ``maximumThreads``
/// hang together; places beyond wait for one of them, and are silent as well.
package final class RepositoryLooks: Sendable {
    /// A disk that spins up takes some seconds.
    package static let limit = Duration.seconds(10)
    package static let maximumThreads = 16

    private struct Waiter {
        var left: Set<String>
        let isDone: Cancellation
    }

    private struct State {
        /// To be looked at.
        var waiting: [String] = []
        /// Asked for and not answered, with the uptimes since when.
        var asked: [String: Duration] = [:]
        /// What the newest look told that ended.
        var known: [String: RepositorySite?] = [:]
        var threads = 0
        var waiters: [Waiter] = []
    }

    private let state = Mutex(State())
    private let clock: any Clock
    private let limit: Duration
    private let site: @Sendable (String) -> RepositorySite?

    /// - Parameter site: Looks at a place; it may block for ever.
    package init(
        _ clock: any Clock, limit: Duration = RepositoryLooks.limit,
        site: @escaping @Sendable (String) -> RepositorySite? = { RepositoryIdentity.of($0) }
    ) {
        self.clock = clock
        self.limit = limit
        self.site = site
    }

    /// Looks at these places at once. Blocks until all have answered, for ``limit`` at most.
    package func look(at locations: Set<String>) -> [String: PlaceAnswer] {
        let isDone = Cancellation()
        let end = clock.uptime() + limit
        ask(locations, isDone)
        while !isDone.isRaised {
            let left = end - clock.uptime()
            guard left > .zero else { break }
            clock.sleep(for: left, unless: isDone)
        }
        return state.withLock { state in
            state.waiters.removeAll { $0.isDone === isDone }
            return answers(locations, state)
        }
    }

    /// Has these places looked at once more. Returns at once; ``silent`` and ``answers(at:)`` tell what came of it.
    package func ask(_ locations: Set<String>) { ask(locations, nil) }

    /// What is known now, without a look.
    package func answers(at locations: Set<String>) -> [String: PlaceAnswer] {
        state.withLock { answers(locations, $0) }
    }

    /// The places that have not answered in time.
    package var silent: Set<String> {
        let now = clock.uptime()
        return state.withLock { state in Set(state.asked.filter { now - $0.value >= limit }.keys) }
    }

    private func answers(_ locations: Set<String>, _ state: State) -> [String: PlaceAnswer] {
        let now = clock.uptime()
        return Dictionary(
            uniqueKeysWithValues: locations.map { location in
                let isSilent = state.asked[location].map { now - $0 >= limit } ?? false
                return (location, PlaceAnswer(state.known[location] ?? nil, isSilent: isSilent))
            })
    }

    private func ask(_ locations: Set<String>, _ isDone: Cancellation?) {
        let now = clock.uptime()
        let lacking = state.withLock { state in
            for location in locations.sorted() where state.asked[location] == nil {
                state.asked[location] = now
                state.waiting.append(location)
            }
            if let isDone {
                if locations.isEmpty { isDone.raise() }
                state.waiters.append(Waiter(left: locations, isDone: isDone))
            }
            let lacking = min(state.waiting.count, Self.maximumThreads - state.threads)
            state.threads += lacking
            return lacking
        }
        for _ in 0..<max(0, lacking) {
            // Nobody waits for it: it may hang for as long as a server is gone.
            if let thread = JoinableThread({ [self] in work() }) {
                thread.leave()
            } else {
                // What waits is silent until somebody asks again.
                state.withLock { $0.threads -= 1 }
            }
        }
    }

    private func work() {
        while let location = state.withLock({ state -> String? in
            guard !state.waiting.isEmpty else {
                state.threads -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }) {
            let site = site(location)
            state.withLock { state in
                state.known[location] = .some(site)
                state.asked[location] = nil
                for place in state.waiters.indices {
                    guard state.waiters[place].left.remove(location) != nil, state.waiters[place].left.isEmpty else {
                        continue
                    }
                    state.waiters[place].isDone.raise()
                }
            }
        }
    }
}

extension Configuration {
    /// `jobs` with their sources by their names, and the repositories where they are. Each place is looked at once.
    ///
    /// - Parameter isAnew: Whether places are looked at, which takes a while; else what is known of them counts.
    package func filledIn(_ jobs: [Job], named: String? = nil, _ looks: RepositoryLooks, isAnew: Bool = true) -> [Job] {
        var locations: Set<String> = []
        for job in jobs {
            _ = filledIn(job, named: named) { location in
                locations.insert(location)
                return PlaceAnswer(nil)
            }
        }
        let answers = isAnew ? looks.look(at: locations) : looks.answers(at: locations)
        return jobs.map { job in
            filledIn(job, named: named) { answers[$0] ?? PlaceAnswer(nil) }
        }
    }
}
