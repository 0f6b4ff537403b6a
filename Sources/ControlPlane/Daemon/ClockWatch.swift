// Steps of the wall clock, by comparison with one that cannot be stepped.

import Primitives

/// Notices that the wall clock was set.
package struct ClockWatch: Sendable {
    /// Smaller differences are how clocks are kept right.
    package static let tolerance = Duration.seconds(5)

    private var wall: Timestamp
    private var uptime: Duration

    package init(wall: Timestamp, uptime: Duration) {
        self.wall = wall
        self.uptime = uptime
    }

    /// How far the wall clock was set since the last look; nil when it went as it should.
    package mutating func look(wall: Timestamp, uptime: Duration) -> Duration? {
        let step = wall.since(self.wall) - (uptime - self.uptime)
        self.wall = wall
        self.uptime = uptime
        return step > Self.tolerance || step < .zero - Self.tolerance ? step : nil
    }
}
