// Timing of one thing, and the table of all of them.

import Glibc
import Primitives

/// What one benchmark found.
struct Measurement {
    let name: String
    /// In `unit`; by default raw bytes a second, in units of a million. 0 when only the note says something.
    let rate: Double
    var unit = "MB/s"
    let note: String
}

/// Runs benchmarks whose name contains the filter, and keeps what they found.
struct Bench {
    /// How long each benchmark runs at least.
    static let duration = Duration.milliseconds(400)

    let filter: String
    private(set) var results: [Measurement] = []

    init(filter: String) { self.filter = filter }

    func wants(_ name: String) -> Bool { filter.isEmpty || name.contains(filter) }

    mutating func add(_ result: Measurement) { results.append(result) }

    /// Repeats `body`, which works through `bytes` bytes, and keeps the rate of its fastest run.
    mutating func measure(
        _ name: String, bytes: Int, note: String = "", _ body: () throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        guard wants(name) else { return }
        let clock = ContinuousClock()
        let start = clock.now
        var best = Duration.seconds(1_000_000)
        var runs = 0
        while runs < 3 || clock.now - start < Self.duration {
            let before = clock.now
            try body()
            best = min(best, clock.now - before)
            runs += 1
        }
        let seconds = Double(best.components.attoseconds) * 1e-18 + Double(best.components.seconds)
        results.append(Measurement(name: name, rate: Double(bytes) / seconds / 1e6, note: note))
    }

    /// An aligned table.
    var table: String {
        let width = results.map(\.name.count).max() ?? 0
        return results.map { result in
            let name = result.name + String(repeating: " ", count: width - result.name.count)
            let rate = String(Int(result.rate.rounded()))
            let pad = String(repeating: " ", count: max(0, 8 - rate.count))
            return "\(name) \(pad)\(rate) \(result.unit)\(result.note.isEmpty ? "" : "  ")\(result.note)\n"
        }.joined()
    }

    /// One object; names and notes are plain text without quotes.
    var json: String {
        let rows = results.map { result in
            let value = Int(result.rate.rounded())
            return #"{"name":"\#(result.name)","value":\#(value),"unit":"\#(result.unit)","note":"\#(result.note)"}"#
        }
        return #"{"schema":"holdfast.benchmarks/2","results":["# + rows.joined(separator: ",") + "]}\n"
    }
}

/// Writes all of `text` to a descriptor.
func emit(_ text: String, to descriptor: Int32 = 1) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
    }
}

/// A percentage with two digits after the point.
func percent(_ part: Int, of whole: Int) -> String {
    let hundredths = part * 10_000 / max(1, whole)
    let fraction = String(hundredths % 100)
    return "\(hundredths / 100).\(fraction.count == 1 ? "0" : "")\(fraction) %"
}
