// holdfast schedule export: the jobs for another scheduler.

import ArgumentParser
import Configuring
import FoundationEssentials
import Primitives
import Scheduling

enum ExportFormat: String, ExpressibleByArgument, CaseIterable {
    case systemd
}

struct ScheduleExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write timers and services of systemd that run the jobs without the daemon.",
        discussion: """
            Each enabled job becomes a timer and a service, which runs `holdfast schedule run JOB --scheduled-for \
            latest`. What a timer does otherwise than the daemon is told; a job whose instants no timer can have is \
            refused, and then nothing is written. Without --to the units are printed.

            Examples:

              holdfast schedule export systemd --to /etc/systemd/system

              holdfast schedule export systemd nightly
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Argument(help: ArgumentHelp("The other scheduler: systemd.", valueName: "format"))
    var format: ExportFormat

    @Argument(help: ArgumentHelp("The jobs; all that are enabled where none is given.", valueName: "job"))
    var names: [String] = []

    @Option(name: .long, help: ArgumentHelp("Where the units are written.", valueName: "directory"))
    var to: String?

    @Option(
        name: .long,
        help: ArgumentHelp("The program that the units run; this one where it is not given.", valueName: "path"))
    var program: String?

    func validate() throws {
        if let program, !program.hasPrefix("/") { throw ValidationError("--program takes an absolute path.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let chosen = try jobs.load(names, context).map(\.job).filter { $0.isEnabled || !names.isEmpty }
            var options = ["--schedules", Host.absolutePath(try jobs.directory(context))]
            if let path = ConfigurationPlace.path(context.options, context.variables) {
                options += ["--config", Host.absolutePath(path)]
            }
            options += context.placeOptions()
            let path = if let program { program } else { try Self.thisProgram() }
            let export = SystemdExport(
                program: path, options: options, now: context.clock.now())
            let units = try chosen.map { (job) throws(HoldfastError) in try export.units(job) }
            for unit in units {
                for (name, text) in [(unit.timerName, unit.timer), (unit.serviceName, unit.service)] {
                    if let to {
                        try Self.write(text, to: "\(to)/\(name)")
                        try context.output.line("\(to)/\(name)")
                    } else {
                        try context.output.line("# \(name)")
                        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
                            try context.output.line(String(line))
                        }
                    }
                }
                for note in unit.notes { context.output.remark("holdfast: \(unit.job): \(note)") }
            }
            if let to, names.isEmpty {
                for name in Self.leftOver(in: to, but: Set(units.map(\.timerName))) {
                    context.output.remark(
                        "holdfast: \(to)/\(name) is of no enabled job; `systemctl disable --now \(name)` ends it")
                }
            }
            try context.output.json(ScheduleExportReport(units))
            return .success
        }
    }

    /// Timers that an earlier export wrote for jobs that are gone or disabled: they go on firing.
    private static func leftOver(in directory: String, but names: Set<String>) -> [String] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return entries.sorted().filter { name in
            guard name.hasPrefix("holdfast-"), name.hasSuffix(".timer"), !names.contains(name) else { return false }
            let service = "\(directory)/\(name.dropLast(6)).service"
            return (try? String(contentsOfFile: service, encoding: .utf8))?.contains(" schedule run ") == true
        }
    }

    private static func thisProgram() throws(HoldfastError) -> String {
        do {
            return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        } catch {
            throw HoldfastError(
                .inputOutput, "the path of this program cannot be found out", hint: "Give --program.", cause: error)
        }
    }

    private static func write(_ text: String, to path: String) throws(HoldfastError) {
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw HoldfastError(
                .inputOutput, "write \(path) failed", hint: "Check that the directory exists and is yours.",
                cause: error)
        }
    }
}

/// `holdfast.schedule-export/1`.
struct ScheduleExportReport: Encodable {
    let schema = "holdfast.schedule-export/1"
    let jobs: [Units]

    struct Units: Encodable {
        let job: String
        let calendars: [String]
        let units: [String: String]
        let notes: [String]
    }

    private enum CodingKeys: String, CodingKey { case schema, jobs }

    init(_ units: [SystemdUnits]) {
        jobs = units.map { unit in
            Units(
                job: unit.job.description, calendars: unit.calendars,
                units: [unit.timerName: unit.timer, unit.serviceName: unit.service], notes: unit.notes)
        }
    }
}
