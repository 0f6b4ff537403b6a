// Whether what failed over a copy is held against the copy, or against the place where it was tried.

import Primitives

/// Whose fault it is that a server, a program or a statement failed over a copy.
///
/// Texts of the server's and of its programs' are in English here, since that is asked of them. Classes of SQLSTATE are
/// those of https://www.postgresql.org/docs/15/errcodes-appendix.html.
enum PostgresBlame: Sendable, Hashable {
    case copy
    /// What it lacked, what kept it apart, or who ended it: nothing is known of the copy.
    case place
    /// Nobody can tell.
    case unclear

    /// How what stands before a program begins its complaints when it fails itself.
    private static let wrappers = ["unshare: ", "setpriv: ", "mount: ", "sh: ", "\(ScratchView.programName): "]
    /// What no copy has a part in: rights, room and limits of the host, and settings that it does not allow.
    private static let shortages = [
        "No space left on device", "Disk quota exceeded", "Cannot allocate memory", "out of memory",
        "Too many open files", "Permission denied", "Read-only file system", "Input/output error",
        "Resource temporarily unavailable", "shared memory", "semaphores", "Unix-domain socket", "configuration file",
        "invalid value for parameter", "data directory \"", "terminated by signal 9",
    ]
    /// What a client is told whose server has ended meanwhile, for whatever reason.
    private static let losses = [
        "server closed the connection", "terminating connection", "is shutting down", "in recovery mode",
    ]
    /// What a server says of files that are not as they must be.
    private static let damages = [
        "could not locate", "checkpoint record", "redo location", "invalid", "corrupt", "incorrect checksum",
        "No such file or directory", "WAL ends before", "consistent recovery point", "recovery ended before",
        "requested timeline", "unexpected", "does not match", "is not a valid", "could not access status of",
        "could not read", "backup_label", "PANIC:", "not from the same", "contains wrong",
    ]
    private static let severities = [
        "LOG:", "FATAL:", "PANIC:", "ERROR:", "WARNING:", "DETAIL:", "HINT:", "CONTEXT:", "STATEMENT:",
    ]

    // MARK: A server

    /// Of a server that ended before it took connections.
    ///
    /// - Parameters:
    ///   - result: How it ended by itself.
    ///   - log: The end of its log. What made it end is said with FATAL or PANIC, or as how one of its processes ended;
    ///     all else it went on after.
    static func server(_ result: ProcessResult, log: [UInt8]) -> Self {
        let text = String(decoding: log, as: UTF8.self)
        guard result.isOwnFailure, !isWrapper(text) else { return .place }
        let last = text.split(separator: "\n").filter { line in
            switch severity(line) {
            case "FATAL:", "PANIC:": true
            case "LOG:": line.contains(" process (PID ") || line.contains("could not fork")
            default: false
            }
        }
        let short = last.contains { names(shortages, $0) }
        let damaged = last.contains { !names(shortages, $0) && names(damages, $0) }
        return short == damaged ? .unclear : short ? .place : .copy
    }

    /// The first word of that kind; a text that is quoted may hold others.
    private static func severity(_ line: Substring) -> String? {
        severities.compactMap { word in line.firstRange(of: "\(word)  ").map { (word, $0.lowerBound) } }
            .min { $0.1 < $1.1 }?.0
    }

    // MARK: A program

    /// Of a program that looks at a copy, or asks a server over it, and has failed: it is held against the copy unless
    /// each of its complaints is of what was lacking.
    static func program(_ outcome: ToolOutcome) -> Self {
        guard let complaints = complaints(of: outcome) else { return .place }
        let short = complaints.filter { names(shortages, $0) }
        let others = complaints.filter { !names(shortages, $0) }
        if others.isEmpty { return short.isEmpty ? .copy : .place }
        return others.allSatisfy(isLoss) ? .unclear : .copy
    }

    /// Of a program that fills a server from a dump, and goes on after errors, one of which leads to the next: what it
    /// lacks can be the reason for all that comes after.
    static func filling(_ outcome: ToolOutcome) -> Self {
        guard let complaints = complaints(of: outcome) else { return .place }
        if complaints.contains(where: { isLoss($0) && !names(shortages, $0) }) { return .unclear }
        let short = complaints.count { names(shortages, $0) }
        return short == 0 ? .copy : short == complaints.count ? .place : .unclear
    }

    /// What it said that is no aside; nil when it was not that program which failed, or somebody ended it.
    private static func complaints(of outcome: ToolOutcome) -> [Substring]? {
        let asides = ["DETAIL:", "HINT:", "CONTEXT:", "detail:", "hint:"]
        let errors = String(decoding: outcome.errorHead + outcome.errorTail, as: UTF8.self)
        guard outcome.result.isOwnFailure, !isWrapper(errors) else { return nil }
        let said = errors.split(separator: "\n")
        let printed = String(decoding: outcome.head, as: UTF8.self).split(separator: "\n")
        // pg_amcheck prints what it found of a relation, further in than its name.
        let found =
            said.filter { $0.contains("error:") || $0.contains("ERROR:") }
            + printed.filter { $0.hasPrefix("    ") || $0.contains("ERROR:") }
        let errorLines = found.filter { line in !asides.contains { line.contains($0) } }
        return errorLines.isEmpty ? said : errorLines
    }

    private static func isWrapper(_ text: String) -> Bool { wrappers.contains { text.hasPrefix($0) } }

    private static func names(_ list: [String], _ line: Substring) -> Bool { list.contains { line.contains($0) } }

    /// What a server says itself when it refuses a connection is no loss of it.
    private static func isLoss(_ line: Substring) -> Bool {
        names(losses, line) || line.contains("connection to server") && !line.contains("FATAL:")
    }

    // MARK: An error

    /// Of what was thrown while a copy, or a server over it, was looked at.
    static func error(_ error: HoldfastError) -> Self {
        if error.isUnclear { return .unclear }
        if error.code == .checkFailed || error.code == .corruptObject { return .copy }
        guard error.code != .interrupted else { return .place }
        guard let state = error.sqlstate else {
            return isLoss(error.message[...]) ? .unclear : .place
        }
        switch state {
        // Another session of the server crashed, over the copy or for want of memory.
        case "57P02": return .unclear
        // The place's disk, and its rights to files: the role has all that a server gives.
        case "58030", "42501": return .place
        // What it lacks, what it may not go beyond, and who stops it.
        default: return ["53", "54", "57"].contains { state.hasPrefix($0) } ? .place : .copy
        }
    }

    /// What is thrown where a failure is not to be held against the copy; nil where it is.
    ///
    /// - Parameters:
    ///   - thing: What failed, such as a program's name.
    ///   - reason: What it said.
    func failure(of thing: String, _ reason: String, context: [(String, String)] = []) -> HoldfastError? {
        switch self {
        case .copy: nil
        case .place:
            HoldfastError(
                .processFailed, "\(thing) could not be run: \(reason)",
                hint: "Nothing is known of the copy: give it what it lacks, and try again.", context: context)
        case .unclear:
            HoldfastError(
                .processFailed, "\(thing) failed, and nobody can tell whether the copy is at fault: \(reason)",
                hint: "Look at what it said, and try again; until then take the snapshot for one that nobody tried.",
                context: context + [(HoldfastError.unclearContext, thing)])
        }
    }
}

extension HoldfastError {
    fileprivate static let unclearContext = "unclear"

    fileprivate var isUnclear: Bool { unclear != nil }

    /// What failed over a copy in a way that leaves open whether the copy is at fault; nil for all other failures.
    package var unclear: String? { context.first { $0.key == Self.unclearContext }?.value }

    /// The same failure where no copy has a part in it.
    var ofThePlace: HoldfastError {
        HoldfastError(
            code == .checkFailed ? .processFailed : code, message, hint: hint,
            context: context.filter { $0.key != Self.unclearContext }.map { ($0.key, $0.value) }, retry: retry)
    }

    /// The same, marked, where the server's end says nothing of who is at fault.
    var asUnclear: HoldfastError { isUnclear ? self : with(Self.unclearContext, "server") }
}
