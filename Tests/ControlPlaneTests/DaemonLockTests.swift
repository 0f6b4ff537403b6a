// The lock by which one daemon runs on one state.

import ControlPlane
import Glibc
import Primitives
import TestSupport
import Testing

@Suite("The lock of the daemon")
struct DaemonLockTests {
    @Test("names who holds it, and is free again when that one lets go")
    func holder() throws {
        let directory = TemporaryDirectory()
        var first: DaemonLock? = try DaemonLock(directory: directory.path, host: "here")
        let error = #expect(throws: HoldfastError.self) { try DaemonLock(directory: directory.path, host: "there") }
        #expect(error?.code == .busy && error?.message.contains("process \(getpid()) on here") == true)
        withExtendedLifetime(first) {}
        first = nil
        _ = try DaemonLock(directory: directory.path, host: "there")
    }

    @Test("when it is refused closes its own descriptor once, and nothing that another thread has opened since")
    func closing() throws {
        let directory = TemporaryDirectory()
        let first = try DaemonLock(directory: directory.path, host: "here")
        let strange = foreignCloses {
            for _ in 0..<2000 {
                #expect(throws: HoldfastError.self) { try DaemonLock(directory: directory.path, host: "there") }
            }
        }
        withExtendedLifetime(first) {}
        #expect(strange == 0)
    }
}
