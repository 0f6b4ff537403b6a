// A line through what drills of several sizes took, and how far a further drill may lie from it.
//
// Ordinary least squares with the prediction interval of one new observation (for example N. R. Draper and H. Smith,
// "Applied Regression Analysis", chapter 1).

import Glibc

/// Seconds as a function of a size: a + b·x, or a alone.
struct PhaseFit {
    private(set) var intercept: Double
    private(set) var slope: Double
    /// The part of the variation that the line explains; nil when there is none, or no line.
    private(set) var rSquared: Double?
    private let count: Double
    private let mean: Double
    private let spread: Double
    /// Variance of what the line does not explain.
    private let variance: Double
    private let freedom: Int

    /// Through all points, each a size and seconds.
    ///
    /// - Parameter isConstant: The time does not depend on the size.
    /// - Returns: nil for fewer points than it takes to tell how good the line is: three different sizes for a line,
    ///   three points for a constant.
    init?(_ points: [(size: Double, seconds: Double)], isConstant: Bool) {
        guard points.count >= 3, isConstant || Set(points.map(\.size)).count >= 3 else { return nil }
        count = Double(points.count)
        let meanSize = points.reduce(0) { $0 + $1.size } / count
        let meanTime = points.reduce(0) { $0 + $1.seconds } / count
        let sizes = points.reduce(0) { $0 + ($1.size - meanSize) * ($1.size - meanSize) }
        let times = points.reduce(0) { $0 + ($1.seconds - meanTime) * ($1.seconds - meanTime) }
        let both = points.reduce(0) { $0 + ($1.size - meanSize) * ($1.seconds - meanTime) }
        let slope = isConstant ? 0 : both / sizes
        // More is never faster; a line that falls says that the size explains nothing.
        self.slope = max(0, slope)
        intercept = meanTime - self.slope * meanSize
        mean = meanSize
        spread = isConstant || slope <= 0 ? 0 : sizes
        let unexplained = points.reduce(0.0) { sum, point in
            let off = point.seconds - (meanTime + max(0, slope) * (point.size - meanSize))
            return sum + off * off
        }
        freedom = points.count - (spread > 0 ? 2 : 1)
        variance = unexplained / Double(freedom)
        rSquared = isConstant ? nil : times > 0 ? max(0, 1 - unexplained / times) : 1
    }

    func seconds(at size: Double) -> Double { max(0, intercept + slope * size) }

    /// Half the width of the interval in which nine of ten further drills of that size lie.
    func halfWidth(at size: Double) -> Double {
        let distance = spread > 0 ? (size - mean) * (size - mean) / spread : 0
        return StudentT.quantile95(freedom) * (variance * (1 + 1 / count + distance)).squareRoot()
    }
}

/// The distribution of "Student" (W. S. Gosset).
enum StudentT {
    private static let table: [Double] = [
        6.313752, 2.919986, 2.353363, 2.131847, 2.015048, 1.943180, 1.894579, 1.859548, 1.833113, 1.812461, 1.795885,
        1.782288, 1.770933, 1.761310, 1.753050, 1.745884, 1.739607, 1.734064, 1.729133, 1.724718, 1.720743, 1.717144,
        1.713872, 1.710882, 1.708141, 1.705618, 1.703288, 1.701131, 1.699127, 1.697261,
    ]

    /// What nineteen of twenty draws are below, which leaves one of ten outside on both sides.
    static func quantile95(_ freedom: Int) -> Double {
        if freedom <= table.count { return table[max(1, freedom) - 1] }
        // The first terms of Cornish and Fisher's expansion around the normal quantile.
        let z = 1.6448536269514722
        let n = Double(freedom)
        return z + (pow(z, 3) + z) / (4 * n) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * n * n)
    }
}
