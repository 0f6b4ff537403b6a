// The check letters of a line of a recovery key: a Reed-Solomon code over 32 letters.

/// Three check letters behind thirteen, bound to the number of their line.
///
/// The code words are the multiples of (x − 1)(x − a)(x − a²) over GF(32), where a is a root of x⁵ + x² + 1 (Reed and
/// Solomon, Polynomial Codes over Certain Finite Fields, 1960). Any two differ in four places at least, so that up to
/// three wrong letters of a line are always found, and so are two that changed places. The line's number counts as a
/// letter before the others, which tells a line in another's place.
enum RecoveryKeyCode {
    static let dataLetters = 13
    static let checkLetters = 3

    /// The powers of a, and which power a value is.
    private static let tables: (powers: [UInt8], logarithms: [Int]) = {
        var powers: [UInt8] = []
        var logarithms = [Int](repeating: 0, count: 32)
        var value: UInt8 = 1
        for power in 0..<31 {
            powers.append(value)
            logarithms[Int(value)] = power
            value <<= 1
            if value & 32 != 0 { value ^= 0b100101 }
        }
        return (powers, logarithms)
    }()

    /// The generator's coefficients below x³, highest first.
    private static let generator: [UInt8] = {
        var polynomial: [UInt8] = [1]
        for root in tables.powers.prefix(checkLetters) {
            var next = polynomial + [0]
            for (place, coefficient) in polynomial.enumerated() { next[place + 1] ^= product(coefficient, root) }
            polynomial = next
        }
        return Array(polynomial.dropFirst())
    }()

    private static func product(_ a: UInt8, _ b: UInt8) -> UInt8 {
        guard a != 0, b != 0 else { return 0 }
        return tables.powers[(tables.logarithms[Int(a)] + tables.logarithms[Int(b)]) % 31]
    }

    /// The check letters of `data`, values under 32, as line `number` of the key.
    static func check(_ data: Slice<UnsafeRawBufferPointer>, line number: Int) -> (UInt8, UInt8, UInt8) {
        var rest: (UInt8, UInt8, UInt8) = (0, 0, 0)
        func feed(_ letter: UInt8) {
            let lead = letter ^ rest.0
            rest = (
                rest.1 ^ product(lead, generator[0]), rest.2 ^ product(lead, generator[1]), product(lead, generator[2])
            )
        }
        feed(UInt8(truncatingIfNeeded: number & 31))
        for letter in data { feed(letter) }
        return rest
    }
}
