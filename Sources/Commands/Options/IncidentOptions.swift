// What is asked and said of a restore in an incident.

import ArgumentParser
import Primitives
import Recovery
import Repository

struct IncidentOptions: ParsableArguments {
    @Flag(
        name: .long,
        help: ArgumentHelp(
            "Be guided: what can be recovered, what is lost, how long it takes, the plan, then a question.",
            discussion: "SNAPSHOT and --to may be left out. With --dry-run the same is told and nothing is asked."))
    var guide = false

    @Flag(name: .long, help: "Check the result like a drill, and leave evidence of the kind incident; so does --guide.")
    var incident = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "When the service failed: a time with its zone, or a length of time ago such as 25m.",
            discussion: "What is lost is counted from then; from now where it is not given.", valueName: "time"))
    var failedAt: InstantArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Why, for the record and the audit log: a ticket, a sentence.", valueName: "text"))
    var reason: String?

    @Option(name: .long, help: ArgumentHelp("What it took to notice, for the record.", valueName: "duration"))
    var detect: DurationArgument?

    @Option(name: .long, help: ArgumentHelp("What it took to decide, for the record.", valueName: "duration"))
    var decide: DurationArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("What it takes to switch over afterwards, for the record.", valueName: "duration"))
    var cutover: DurationArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave the record in a new file, to be imported later, and not in the repository.", valueName: "file"))
    var evidence: String?

    @Flag(
        name: .long,
        help: ArgumentHelp(
            "After the restore drill the same snapshot in scratch space, with a server and a record of its own.",
            discussion: "The real target is only read, so that no server of ours ever runs over it."))
    var drill = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --drill, where its scratch directory is made.", discussion: "TMPDIR or /var/tmp where not given.",
            valueName: "directory"))
    var scratch: String?

    var isIncident: Bool { guide || incident }

    func validate() throws {
        guard scratch == nil || drill else { throw ValidationError("--scratch goes with --drill.") }
        guard (reason?.utf8.count ?? 0) <= IncidentSettings.longestReason else {
            throw ValidationError(
                "--reason takes up to \(IncidentSettings.longestReason) bytes. Name a ticket that says more.")
        }
        // A reason alone is for the audit log.
        let isSaid = drill || failedAt != nil || detect != nil || decide != nil || cutover != nil
        guard isIncident || !(isSaid || evidence != nil) else {
            throw ValidationError(
                "--failed-at, --detect, --decide, --cutover, --drill and --evidence go with --guide or "
                    + "--incident.")
        }
    }

    var place: EvidencePlace { evidence.map { .file(Host.absolutePath($0)) } ?? .repository }

    /// Where the record of the drill after the restore goes.
    var drillPlace: EvidencePlace { evidence.map { .file(Host.absolutePath($0) + "-drill") } ?? .repository }

    var declared: [RecoveryPhase: Duration] {
        var declared: [RecoveryPhase: Duration] = [:]
        declared[.detect] = detect?.duration
        declared[.decide] = decide?.duration
        declared[.cutover] = cutover?.duration
        return declared
    }
}
