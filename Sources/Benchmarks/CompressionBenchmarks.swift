// Codecs, whole and as deltas.

import Chunking
import Compression
import Primitives
import Repository

extension Bench {
    mutating func compression(
        pages: [UInt8], noise: [UInt8], chunk: Int
    ) throws(HoldfastError) {
        var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: chunk))
        var span = output.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            let room = UnsafeMutableRawBufferPointer(buffer)
            for (kind, data) in [("pages", pages), ("noise", noise)] {
                for text in ["zstd:1", "zstd:3", "auto:3", "zlib:1", "none"] {
                    guard let setting = CompressionSetting(text), wants("encode/\(kind)/\(text)") else { continue }
                    let encoder = try ChunkEncoder(setting)
                    var total = 0
                    func run() throws(HoldfastError) {
                        total = 0
                        for start in stride(from: 0, to: data.count, by: chunk) {
                            total += try encoder.encode(
                                data.span.bytes.extracting(start..<start + chunk), into: room
                            ).count
                        }
                    }
                    try run()
                    let note = percent(total, of: data.count)
                    try measure("encode/\(kind)/\(text)", bytes: data.count, note: note) { () throws(HoldfastError) in
                        try run()
                    }
                }
            }
        }
    }

    mutating func deltas(before: [UInt8], after: [UInt8], blocks: [Int], rows: Int) throws(HoldfastError) {
        let size = Content.pageBlockSize
        var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: size))
        var plain = [UInt8](repeating: 0, count: size)
        var outputSpan = output.mutableSpan
        var plainSpan = plain.mutableSpan
        try outputSpan.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try plainSpan.withUnsafeMutableBufferPointer { (target) throws(HoldfastError) in
                let room = UnsafeMutableRawBufferPointer(buffer)
                let back = UnsafeMutableRawBufferPointer(target)
                for level in [1, 3] {
                    try delta(level, rows, before, after, blocks, room, back)
                }
            }
        }
    }

    private mutating func delta(
        _ level: Int, _ rows: Int, _ before: [UInt8], _ after: [UInt8], _ blocks: [Int],
        _ room: UnsafeMutableRawBufferPointer, _ back: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        let size = Content.pageBlockSize
        let encoder = try ChunkEncoder(.zstd(level: 3), deltaLevel: level)
        let decoder = try ChunkDecoder()
        let bytes = blocks.count * size
        var total = 0
        var stored: [[UInt8]] = []
        for block in blocks {
            let range = block * size..<(block + 1) * size
            let count = try encoder.encodeDelta(
                after.span.bytes.extracting(range), base: before.span.bytes.extracting(range), into: room, limit: size)
            total += count ?? size
            stored.append(Array(room[..<(count ?? 0)]))
        }
        let note = "\(percent(total, of: bytes)), \(total / max(1, blocks.count)) bytes a block"
        try measure("delta/encode/\(level)/\(rows) rows", bytes: bytes, note: note) { () throws(HoldfastError) in
            for block in blocks {
                let range = block * size..<(block + 1) * size
                _ = try encoder.encodeDelta(
                    after.span.bytes.extracting(range), base: before.span.bytes.extracting(range), into: room,
                    limit: size)
            }
        }
        try measure("delta/decode/\(level)/\(rows) rows", bytes: bytes) { () throws(HoldfastError) in
            for (index, block) in blocks.enumerated() {
                let range = block * size..<(block + 1) * size
                let frame = stored[index]
                try decoder.decode(
                    .zstdDelta, frame.span.bytes, base: before.span.bytes.extracting(range), into: back)
            }
        }
    }
}
