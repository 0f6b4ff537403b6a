// How long a plan of several systems takes: the longest way through its graph, with as many workers as there are.

import Primitives

/// One system of a plan with how long it takes.
package struct PlanTask: Sendable, Hashable {
    package var name: String
    package var duration: Duration
    /// Names of tasks that must be over before it begins.
    package var after: [String]

    package init(_ name: String, duration: Duration, after: [String] = []) {
        self.name = name
        self.duration = duration
        self.after = after
    }
}

/// A plan laid out in time.
///
/// List scheduling (R. L. Graham, "Bounds on multiprocessing timing anomalies", 1969): whenever a worker is free it
/// takes, of the tasks whose predecessors are over, the one with the longest way to the end. With as many workers as
/// tasks the result is the longest path; with fewer it is a plan that can be kept, not always the shortest.
package struct PlanSchedule: Sendable, Hashable {
    package struct Slot: Sendable, Hashable {
        package var name: String
        package var start: Duration
        package var end: Duration
    }

    /// In order of their beginning, then of the tasks given.
    package let slots: [Slot]
    /// When the last task is over.
    package let total: Duration
    /// The tasks that the total hangs on, first to last: each begins when the one before it is over.
    package let criticalTasks: [String]

    package static let maximumTasks = 4096

    /// - Throws: `.usage` for two tasks of one name, a predecessor that is not there, a ring, or too many tasks.
    package init(_ tasks: [PlanTask], workers: Int) throws(HoldfastError) {
        precondition(workers > 0, "somebody must do the work")
        let successors = try Self.successors(tasks)
        let ranks = try Self.ranks(tasks, successors)
        var waiting = tasks.map(\.after.count)
        var ready = tasks.indices.filter { waiting[$0] == 0 }
        var running: [(task: Int, end: Duration)] = []
        var now = Duration.zero
        var times = [(start: Duration, end: Duration)](repeating: (.zero, .zero), count: tasks.count)
        /// What had to end so that a task could begin: its last predecessor, or the task that freed the worker.
        var causes = [Int?](repeating: nil, count: tasks.count)
        var ended: Int?
        var order: [Int] = []
        while !ready.isEmpty || !running.isEmpty {
            while running.count < workers,
                let next = ready.min(by: { (ranks[$1], $0) < (ranks[$0], $1) })
            {
                ready.removeAll { $0 == next }
                let last = tasks[next].after.compactMap { name in tasks.firstIndex { $0.name == name } }
                    .max { times[$0].end < times[$1].end }
                causes[next] = last.flatMap { times[$0].end == now ? $0 : nil } ?? ended
                times[next] = (now, now + tasks[next].duration)
                order.append(next)
                running.append((next, now + tasks[next].duration))
            }
            guard let first = running.min(by: { ($0.end, $0.task) < ($1.end, $1.task) }) else { break }
            running.removeAll { $0.task == first.task }
            now = first.end
            ended = first.task
            for successor in successors[first.task] {
                waiting[successor] -= 1
                if waiting[successor] == 0 { ready.append(successor) }
            }
        }
        slots = order.map { Slot(name: tasks[$0].name, start: times[$0].start, end: times[$0].end) }
        total = times.map(\.end).max() ?? .zero
        var chain: [String] = []
        var at = order.max { (times[$0].end, $1) < (times[$1].end, $0) }
        while let task = at {
            chain.append(tasks[task].name)
            at = causes[task]
        }
        criticalTasks = chain.reversed()
    }

    private static func successors(_ tasks: [PlanTask]) throws(HoldfastError) -> [[Int]] {
        guard tasks.count <= maximumTasks else {
            throw HoldfastError(
                .usage, "a plan of \(tasks.count) systems is over the limit of \(maximumTasks)",
                hint: "Divide it into several plans.")
        }
        var places: [String: Int] = [:]
        for (place, task) in tasks.enumerated() {
            guard places.updateValue(place, forKey: task.name) == nil, task.duration >= .zero,
                Set(task.after).count == task.after.count
            else {
                throw HoldfastError(
                    .usage,
                    "the plan has `\(task.name)` twice, names a predecessor of it twice, or gives it a "
                        + "duration below zero", hint: "Correct the plan.")
            }
        }
        var successors = [[Int]](repeating: [], count: tasks.count)
        for (place, task) in tasks.enumerated() {
            for name in task.after {
                guard let before = places[name] else {
                    throw HoldfastError(
                        .usage, "`\(task.name)` comes after `\(name)`, which the plan does not have",
                        hint: "Correct the plan.")
                }
                successors[before].append(place)
            }
        }
        return successors
    }

    /// The longest way from each task to the end, its own duration counted.
    private static func ranks(_ tasks: [PlanTask], _ successors: [[Int]]) throws(HoldfastError) -> [Duration] {
        var ranks = tasks.map(\.duration)
        var left = successors.map(\.count)
        var ends = tasks.indices.filter { left[$0] == 0 }
        var done = 0
        let places = Dictionary(tasks.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
        while let task = ends.popLast() {
            done += 1
            for name in tasks[task].after {
                guard let before = places[name] else { continue }
                ranks[before] = max(ranks[before], tasks[before].duration + ranks[task])
                left[before] -= 1
                if left[before] == 0 { ends.append(before) }
            }
        }
        guard done == tasks.count else {
            let ring = tasks.indices.filter { left[$0] > 0 }.map { "`\(tasks[$0].name)`" }
            throw HoldfastError(
                .usage, "these systems wait for each other: \(ring.joined(separator: ", "))",
                hint: "Take one of the `after` away.")
        }
        return ranks
    }
}
