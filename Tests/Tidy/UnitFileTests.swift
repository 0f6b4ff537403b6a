// The unit of the daemon, against what its jobs need.

import Testing

@Suite("The unit of the daemon")
struct UnitFileTests {
    @Test("leaves drills the place where they restore to when nobody says another")
    func scratch() {
        let lines = Project.text("scripts/systemd/holdfast.service").split(separator: "\n")
        #expect(lines.contains("ProtectSystem=strict"))
        #expect(lines.contains { $0.hasPrefix("ReadWritePaths=") && $0.contains("/var/tmp") })
    }
}
