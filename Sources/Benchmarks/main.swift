// Rates of the codecs and cutters on data made from a seed, of a large index, of schedules, and of whole verbs:
// `Benchmarks [--filter NAME] [--chunks COUNT] [--json]`.

import Chunking
import Glibc
import Primitives
import TestSupport

/// Everything, in the order of the table.
func runAll(_ bench: inout Bench, chunks: Int) throws(HoldfastError) {
    try bench.index(count: chunks)
    try bench.endToEnd()
    try bench.schedules()
    try bench.runs()
    try bench.reports()
    if ["index/", "end-to-end/", "schedule/", "report/"].contains(where: { bench.filter.hasPrefix($0) }) { return }
    let entropy = SeededEntropy(seed: 2_026)
    let noise = try entropy.bytes(64 << 20)
    var pages = SyntheticPages(count: 64 << 20, seed: 7)
    let before = pages.bytes
    let table = GearTable(material: try entropy.secret(GearTable.materialCount))
    let cutter = ContentCutter(table: table)
    let span = noise.span.bytes
    try bench.measure("chunk/content", bytes: noise.count) { () throws(HoldfastError) in
        _ = cutter.boundaries(in: span, isFinal: true)
    }
    let zeros = [UInt8](repeating: 0, count: 64 << 20)
    let zeroSpan = zeros.span.bytes
    try bench.measure("chunk/zeros", bytes: zeros.count) { () throws(HoldfastError) in _ = isAllZero(zeroSpan) }
    try bench.sealing(noise, entropy: entropy)
    try bench.compression(pages: before, noise: noise, chunk: 1 << 20)
    for rows in [200, 2_000] where bench.wants("delta/") {
        let old = pages.bytes
        let blocks = pages.update(rows: rows)
        try bench.deltas(before: old, after: pages.bytes, blocks: blocks, rows: rows)
    }
    for rows in [200, 2_000] { try bench.chains(rows: rows) }
}

var filter = ""
var wantsJSON = false
var chunks = 10_000_000
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    switch argument {
    case "--json": wantsJSON = true
    case "--filter": filter = arguments.popFirst() ?? ""
    case "--chunks": chunks = max(1, arguments.popFirst().flatMap { Int($0) } ?? chunks)
    case "--index-step":
        // Not for people: a step of the index benchmark in a process of its own.
        let words = Array(arguments)
        guard words.count == 4, let step = IndexStep(rawValue: words[0]), let count = Int(words[2]) else { exit(64) }
        do throws(HoldfastError) {
            try writeFigures(try step.run(in: words[1], count: count), to: words[3])
            exit(0)
        } catch {
            emit("benchmarks: \(error)\n", to: 2)
            exit(1)
        }
    default: emit("usage: Benchmarks [--filter NAME] [--chunks COUNT] [--json]\n", to: 2)
    }
}
var bench = Bench(filter: filter)
do throws(HoldfastError) {
    try runAll(&bench, chunks: chunks)
    emit(wantsJSON ? bench.json : bench.table)
} catch {
    emit("benchmarks: \(error)\n", to: 2)
}
