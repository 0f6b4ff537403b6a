// A terminal that a test types on.

import CLinux
import Glibc
import Testing

/// A child with a terminal of its own, whose other side the test holds.
final class PseudoTerminal {
    // TIOCSPTLCK and TIOCGPTN of ioctl_tty(2).
    private static let unlock: UInt = 0x4004_5431
    private static let getNumber: UInt = 0x8004_5430

    private let side: Int32
    private let process: pid_t
    /// All that the child showed so far.
    private(set) var shown = ""

    /// Starts `arguments` in a session of its own with the terminal as its standard input, output and error.
    init(_ arguments: [String], environment: [String: String]) throws {
        let side = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var number: UInt32 = 0
        var locked: Int32 = 0
        try #require(side >= 0 && ioctl(side, Self.unlock, &locked) == 0 && ioctl(side, Self.getNumber, &number) == 0)
        let name = "/dev/pts/\(number)"
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The first terminal that the leader of a new session opens becomes its own.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in 0...2 as ClosedRange<Int32> {
            posix_spawn_file_actions_addopen(&actions, descriptor, name, O_RDWR, 0)
        }
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var lines: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + lines).forEach { free($0) } }
        var process = pid_t()
        let result = posix_spawn(&process, arguments[0], &actions, &attributes, &words, &lines)
        try #require(result == 0)
        self.side = side
        self.process = process
    }

    deinit { close(side) }

    /// Reads until the child has shown `text`; false when it ends before.
    func waits(for text: String) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !shown.contains(text) {
            let count = read(side, &buffer, buffer.count)
            guard count > 0 else { return false }
            shown += String(decoding: buffer[..<count], as: UTF8.self)
        }
        return true
    }

    /// Forgets what was shown, so that the next wait is for what comes.
    func clear() { shown = "" }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(write(side, bytes, bytes.count) == bytes.count)
    }

    /// Reads to the end and gives the exit status.
    func finish() -> Int32 {
        _ = waits(for: "\u{0}never")
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return holdfast_exit_status(status)
    }
}
