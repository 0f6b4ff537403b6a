// What libFuzzer calls. Built as a static library and linked by `swiftc -sanitize=fuzzer`: see scripts/fuzz.

import Fuzzing
import Glibc
import Primitives

/// Made at the first input; libFuzzer calls from one thread.
nonisolated(unsafe) private var fuzzer: Fuzzer?
/// The one target of inputs that are looked at, when the environment names one.
private let only: FuzzTarget? = getenv("HOLDFAST_FUZZ_TARGET").flatMap { FuzzTarget(name: String(cString: $0)) }

/// Writes why a run ends, and ends it in a way that libFuzzer keeps the input of.
private func fail(_ message: String) -> Never {
    let text = "fuzz: \(message)\n"
    _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    abort()
}

/// 0 keeps the input in the corpus when it reaches new code; -1 never does.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = input.first, let target = FuzzTarget(rawValue: first), only == nil || only == target else {
        return -1
    }
    if fuzzer == nil {
        do throws(HoldfastError) {
            fuzzer = try Fuzzer(scratch: getenv("HOLDFAST_FUZZ_SCRATCH").map { String(cString: $0) } ?? "/tmp")
        } catch {
            fail("\(error)")
        }
    }
    guard let verdict = fuzzer?.run(input) else { return -1 }
    if case .wrong(let what) = verdict { fail("\(target): \(what)") }
    return 0
}
