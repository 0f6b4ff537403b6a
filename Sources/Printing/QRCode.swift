// QR codes, by libqrencode.

import CLinux
import CQRencode
import Glibc
import Primitives

/// The modules of a QR code (ISO/IEC 18004), without the white margin of four that it needs around it.
///
/// The library keeps copies of the text in memory that it frees without wiping it; the modules are wiped.
struct QRCode: Sendable {
    /// Modules on each side.
    let width: Int
    private let dark: SecretBytes

    /// The margin that readers need, in modules.
    static let margin = 4

    /// A code that is read even when a quarter of it is damaged.
    init(_ text: SecretBytes) throws(HoldfastError) {
        let closed = SecretBytes(count: text.count + 1)
        text.withBytes { text in closed.withMutableBytes { $0.copyMemory(from: text) } }
        let made = closed.withBytes { raw in
            raw.baseAddress.flatMap { base in
                QRcode_encodeString(base.assumingMemoryBound(to: CChar.self), 0, QR_ECLEVEL_Q, QR_MODE_8, 1)
            }
        }
        guard let made, let data = made.pointee.data else {
            throw HoldfastError(
                .inputOutput, "the QR code cannot be made: \(describeErrno(errno))",
                hint: "Free some memory, and try again.")
        }
        let count = Int(made.pointee.width) * Int(made.pointee.width)
        width = Int(made.pointee.width)
        dark = SecretBytes(count: count)
        dark.withMutableBytes { raw in
            for place in 0..<count { raw[place] = data[place] & 1 }
        }
        holdfast_zero(data, count)
        QRcode_free(made)
    }

    /// False outside of the code.
    func isDark(column: Int, row: Int) -> Bool {
        guard (0..<width).contains(column), (0..<width).contains(row) else { return false }
        return dark.withBytes { $0[row * width + column] == 1 }
    }

    /// Stretches of dark modules of a row.
    func runs(row: Int) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start: Int?
        for column in 0...width {
            if isDark(column: column, row: row) {
                start = start ?? column
            } else if let begun = start {
                runs.append(begun..<column)
                start = nil
            }
        }
        return runs
    }

    /// Two rows of modules in each line of text, in half blocks: dark is what a printer blackens.
    var textLines: [SecretBytes] {
        stride(from: 0, to: width, by: 2).map { row in
            var line: [UInt8] = []
            line.reserveCapacity(width * 3)
            for column in 0..<width {
                let (upper, lower) = (isDark(column: column, row: row), isDark(column: column, row: row + 1))
                if !upper, !lower {
                    line.append(UInt8(ascii: " "))
                } else {
                    line.append(0xE2)
                    line.append(0x96)
                    line.append(upper && lower ? 0x88 : upper ? 0x80 : 0x84)
                }
            }
            return SecretBytes(wiping: &line)
        }
    }
}
