// What was found of a copy on the way to a server that does not start over it.

import Primitives
import Synchronization

/// Keeps what was found of a copy before its server was there to be asked: an error has room for one reason.
package final class StartFindings: Sendable {
    private let found = Mutex<[WorkloadFinding]>([])

    package init() {}

    /// In the order in which they were found, those that are good as well.
    package var all: [WorkloadFinding] { found.withLock { $0 } }

    func add(_ findings: [WorkloadFinding]) {
        found.withLock { $0 += findings }
    }
}

extension ProcessResult {
    /// Whether the program itself said that it fails. Otherwise it was stopped, or is not what ended: `mount` fails
    /// with 32, what starts another program with 126 and 127, and a shell tells of a signal with more than 128.
    var isOwnFailure: Bool {
        guard case .exited(let status) = self else { return false }
        return (1..<126).contains(status) && status != 32
    }
}
