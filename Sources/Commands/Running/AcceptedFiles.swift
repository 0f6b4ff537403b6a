// The configuration and the jobs that a daemon has accepted, kept for the runs that it starts.

import Configuring
import FoundationEssentials
import Glibc
import Primitives
import Synchronization

/// Copies of the configuration and of the job files, one directory for each time that they were read.
///
/// A run is a process of its own and reads them again. Would it read the originals, then what somebody is in the middle
/// of changing, or has broken, would be what runs, and not the jobs that hold.
struct AcceptedFiles {
    /// What a run that is just started may still want to read.
    private static let mostKept = 16

    /// Copies that a run reads, for as long as this lives, or its process.
    final class Hold: Sendable {
        fileprivate let descriptor: Int32
        fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }
        deinit { close(descriptor) }
    }

    /// Below the state directory.
    let directory: String

    init(state: String) { directory = "\(state)/accepted" }

    /// Copies the files as they are now.
    ///
    /// - Returns: `context` and `jobs`, about the copies.
    func keep(
        _ context: CommandContext, _ jobs: JobOptions
    ) throws(HoldfastError) -> (context: CommandContext, jobs: JobOptions, directory: String) {
        let kept = "\(directory)/\((numbers().last ?? 0) + 1)"
        var (options, ownJobs) = (context.options, jobs)
        do throws(HoldfastError) {
            let schedules = try jobs.directory(context)
            try KeptFile.copy(try JobOptions.files(in: schedules), from: schedules, to: "\(kept)/schedules")
            ownJobs.schedules = "\(kept)/schedules"
            if let path = ConfigurationPlace.path(context.options, context.variables) {
                let absolute = Host.absolutePath(path)
                let slash = absolute.lastIndex(of: "/") ?? absolute.startIndex
                let name = String(absolute[absolute.index(after: slash)...])
                try KeptFile.copy([name], from: String(absolute[..<slash]), to: "\(kept)/configuration")
                options.config = "\(kept)/configuration/\(name)"
            }
        } catch {
            drop(kept)
            throw error
        }
        let own = CommandContext(
            options: options, output: context.output, environment: context.environment, variables: context.variables,
            runner: context.runner, inheritedPassword: context.inheritedPassword)
        return (own, ownJobs, kept)
    }

    /// Takes copies away that are not wanted after all.
    func drop(_ kept: String) { try? FileManager.default.removeItem(atPath: kept) }

    /// Takes the oldest copies away that no run reads.
    func thin() {
        for number in numbers().dropLast(Self.mostKept) {
            let kept = "\(directory)/\(number)"
            // One that cannot be opened is a remainder of one that was taken away.
            guard let hold = Self.locked(kept, LOCK_EX) else {
                if access(kept, R_OK) != 0 { drop(kept) }
                continue
            }
            withExtendedLifetime(hold) { drop(kept) }
        }
    }

    /// Keeps the copies from being taken away whose jobs are in `schedules`; nil when there are none.
    static func hold(_ schedules: String) -> Hold? {
        guard let slash = schedules.lastIndex(of: "/") else { return nil }
        return locked(String(schedules[..<slash]), LOCK_SH)
    }

    private static func locked(_ kept: String, _ kind: Int32) -> Hold? {
        let descriptor = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        let hold = Hold(descriptor)
        return flock(descriptor, kind | LOCK_NB) == 0 ? hold : nil
    }

    private func numbers() -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.compactMap { Int($0) }.sorted()
    }
}
