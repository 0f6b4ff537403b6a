// Pages like those of a PostgreSQL table of bank accounts, and transactions upon them, from a seed.

import Chunking
import Primitives
import Repository
import TestSupport

/// A table of accounts in pages of 8 KiB: a header of 24 bytes, line pointers, and rows of 128 bytes from the end.
struct SyntheticPages {
    private static let page = 8_192
    private static let rows = 56
    private(set) var bytes: [UInt8]
    private let random: SeededEntropy
    private var transaction: UInt32 = 700
    private var position: UInt64 = 0x1_5A3C_0028

    init(count: Int, seed: UInt64) {
        random = SeededEntropy(seed: seed)
        bytes = [UInt8](repeating: 0, count: count)
        for start in stride(from: 0, to: count, by: Self.page) {
            position &+= 8_200
            stamp(start)
            put(UInt16(24 + Self.rows * 4), start + 12)
            put(UInt16(Self.page - Self.rows * 128), start + 14)
            put(UInt16(Self.page), start + 16)
            put(UInt16(Self.page) | 4, start + 18)
            for row in 0..<Self.rows {
                let offset = Self.page - (row + 1) * 128
                put(UInt32(offset) | 1 << 15 | 121 << 17, start + 24 + row * 4)
                let account = UInt32(start / Self.page * Self.rows + row + 1)
                fill(start + offset, account: account, row: row, page: start / Self.page)
            }
        }
    }

    /// Changes `count` rows, as updates within a page do, and returns the blocks that they lie in, in order.
    mutating func update(rows count: Int) -> [Int] {
        var blocks: Set<Int> = []
        for _ in 0..<count {
            let start = Int(random.next() % UInt64(bytes.count / Self.page)) * Self.page
            let tuple = start + Self.page - (Int(random.next() % UInt64(Self.rows)) + 1) * 128
            transaction &+= 1
            position &+= 300 + random.next() % 500
            stamp(start)
            put(transaction, tuple)
            put(UInt16(0x2902), tuple + 20)
            put(UInt32(truncatingIfNeeded: random.next() % 10_000), tuple + 32)
            blocks.insert(start / Content.pageBlockSize)
        }
        return blocks.sorted()
    }

    /// A new log position and checksum.
    private mutating func stamp(_ start: Int) {
        put(UInt32(truncatingIfNeeded: position >> 32), start)
        put(UInt32(truncatingIfNeeded: position), start + 4)
        put(UInt16(truncatingIfNeeded: random.next()), start + 8)
    }

    private mutating func fill(_ tuple: Int, account: UInt32, row: Int, page: Int) {
        put(transaction, tuple)
        put(UInt16(truncatingIfNeeded: page), tuple + 14)
        put(UInt16(row + 1), tuple + 16)
        put(UInt16(4), tuple + 18)
        put(UInt16(0x0902), tuple + 20)
        bytes[tuple + 22] = 24
        put(account, tuple + 24)
        put(account / 100_000 + 1, tuple + 28)
        put(UInt32(truncatingIfNeeded: random.next() % 10_000), tuple + 32)
        bytes[tuple + 36] = 0xAB
        for byte in 37..<121 { bytes[tuple + byte] = 32 }
    }

    private mutating func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
        for index in 0..<MemoryLayout<T>.size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(index * 8))
        }
    }
}
