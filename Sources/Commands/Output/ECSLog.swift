// Log lines for machines: one JSON object each, with the field names of the Elastic Common Schema 8.11.

import FoundationEssentials
import Glibc
import Logging
import Primitives

/// Writes each event as a line of JSON on standard error.
///
/// Values pass the scrubber, so that none carries a secret.
struct ECSLog: LogHandler {
    let console: Console
    let clock: any Primitives.Clock
    let scrubber: SecretScrubber
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(
        console: Console, clock: any Primitives.Clock, scrubber: SecretScrubber = SecretScrubber(),
        logLevel: Logger.Level
    ) {
        self.console = console
        self.clock = clock
        self.scrubber = scrubber
        self.logLevel = logLevel
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Where a value of our own has a field of the schema.
    private static let fields = ["error": "error.message", "code": "error.code", "outcome": "event.outcome"]

    func log(event: LogEvent) {
        var line = [
            "@timestamp": "\(clock.now())", "ecs.version": "8.11.0", "log.level": "\(event.level)",
            "message": scrubber.scrub("\(event.message)"), "service.name": "holdfast",
            "service.version": ToolVersion.current, "host.name": Host.name, "process.pid": "\(getpid())",
        ]
        for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { _, own in own }) {
            let field = Self.fields[key] ?? "labels.\(key)"
            var text = scrubber.scrub("\(value)")
            // The schema knows three outcomes; ours is a label besides.
            if key == "outcome" {
                line["labels.outcome"] = text
                text = text == "succeeded" ? "success" : "failure"
            }
            line[field] = text
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(line) else { return }
        console.line(String(decoding: bytes, as: UTF8.self))
    }
}

extension CommandContext {
    /// The log of what runs by itself: for people on a terminal, else for machines.
    func serviceLogger(_ scrubber: SecretScrubber) -> Logger {
        let (console, clock) = (output.console, clock)
        let level: Logger.Level = options.verbose ? .debug : .notice
        return Logger(label: "holdfast") { _ in
            if console.isTerminal { return ConsoleLog(console: console, logLevel: level) }
            return ECSLog(console: console, clock: clock, scrubber: scrubber, logLevel: level)
        }
    }
}
