// From when on a recovery point counts no more, and from when on again, by what drills found.

import Primitives
import Testing

@testable import Recovery

@Suite("A recovery point that drills looked at")
struct PointStandingTests {
    private static func at(_ hour: Int64) -> Timestamp { Timestamp(seconds: hour * 3600) }

    private func stretches(
        _ verdicts: [(Int64, PointDamage?, String)], from: Int64 = 1, place: String = "here"
    ) -> [[Int64?]] {
        var standing = PointStanding()
        for (hour, damage, place) in verdicts {
            standing.add(PointStanding.Verdict(at: Self.at(hour), damage: damage, place: place))
        }
        let copy = CopiedPoint.Copy(classes: [.local], durableAt: Self.at(from))
        return standing.stretches(of: copy, at: place, among: ["here", "there"]).map { copy in
            [copy.durableAt, copy.goneFrom].map { $0.map { $0.nanoseconds / 3_600_000_000_000 } }
        }
    }

    @Test("counts without end when none found damage")
    func sound() {
        #expect(stretches([]) == [[1, nil]])
        #expect(stretches([(3, nil, "here"), (5, nil, "there")]) == [[1, nil]])
    }

    @Test("counts until damage was found, and again from the drill that recovered it")
    func damaged() {
        #expect(stretches([(3, .content, "here")]) == [[1, 3]])
        #expect(stretches([(3, .copy, "here"), (5, .content, "here")]) == [[1, 3]])
        #expect(stretches([(7, nil, "here"), (3, .copy, "here")]) == [[1, 3], [7, nil]])
        #expect(stretches([(3, .content, "here"), (7, nil, "here"), (9, .copy, "here")]) == [[1, 3], [7, 9]])
    }

    @Test("is damaged in the copy that was read alone when its objects are, and in every copy when what it holds is")
    func places() {
        #expect(stretches([(3, .copy, "here")], place: "there") == [[1, nil]])
        #expect(stretches([(3, .content, "here")], place: "there") == [[1, 3]])
        #expect(stretches([(3, .copy, "nowhere")], place: "there") == [[1, 3]], "nobody can tell which it was")
        #expect(stretches([(3, .content, "here"), (7, nil, "here")], place: "there") == [[1, 3]])
    }

    @Test("in a copy that was made again since counts, unless what it holds is damaged")
    func anew() {
        #expect(stretches([(3, .copy, "here")], from: 5) == [[5, nil]])
        #expect(stretches([(3, .content, "here")], from: 5) == [])
        #expect(stretches([(3, .content, "here"), (7, nil, "here")], from: 5) == [[7, nil]])
    }

    @Test("was verified by the first drill that recovered this copy")
    func verified() {
        var standing = PointStanding()
        standing.add(PointStanding.Verdict(at: Self.at(2), damage: .copy, place: ""))
        #expect(standing.verifiedAt("here", since: Self.at(0)) == nil)
        for (hour, place) in [(6, "here"), (3, "there"), (4, "here"), (1, ""), (8, "here")] as [(Int64, String)] {
            standing.add(PointStanding.Verdict(at: Self.at(hour), damage: nil, place: place, isByEngine: hour == 4))
        }
        #expect(standing.verifiedAt("here", since: Self.at(0)) == Self.at(4))
        #expect(standing.verifiedAt("here", since: Self.at(5)) == Self.at(6), "one that was put again is another")
        #expect(standing.verifiedAt("elsewhere", since: Self.at(0)) == nil)
        #expect(!standing.isWithoutEngine)
    }
}
