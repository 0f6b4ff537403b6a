// The kernel's file calls with a script in between: any call can fail, and the order of calls is kept.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Synchronization

/// Passes each call of the local store on to the kernel unless the script says otherwise, and records it.
package final class ScriptedFileCalls: FileCalls {
    package enum Call: String, Sendable, CaseIterable {
        case open, create, close, write, read, setMode, sync, allocate, status, link, rename, unlink, makeDirectory
        case removeDirectory
        case names, space
    }

    /// One call. `name` is that of the file at hand: for calls on descriptors, what the descriptor was opened by.
    package struct Entry: Sendable, CustomStringConvertible {
        package var index: Int
        package var call: Call
        package var name: String
        package var description: String { "\(index) \(call) \(name)" }
    }

    package enum Action: Sendable {
        case pass
        /// Nothing is done and the call fails with this error number.
        case fail(Int32)
        /// The call is done and fails all the same.
        case failAfterwards(Int32)
        /// A write takes only so many bytes.
        case short(Int)
    }

    private struct State {
        var entries: [Entry] = []
        var names: [Int32: String] = [:]
    }

    private let system = SystemFileCalls()
    private let script: @Sendable (Entry) -> Action
    private let state = Mutex(State())

    package init(_ script: @escaping @Sendable (Entry) -> Action = { _ in .pass }) { self.script = script }

    /// All calls so far, in order.
    package var entries: [Entry] { state.withLock { $0.entries } }

    /// Descriptors that were opened here and not closed.
    package var openDescriptors: Int { state.withLock { $0.names.count } }

    package func open(at directory: Int32, _ name: String, _ flags: Int32, mode: UInt32) -> Int32 {
        run(flags & O_CREAT != 0 ? .create : .open, name) {
            let descriptor = system.open(at: directory, name, flags, mode: mode)
            if descriptor >= 0 { state.withLock { $0.names[descriptor] = name } }
            return descriptor
        } undo: { descriptor in
            if descriptor >= 0 {
                state.withLock { _ = $0.names.removeValue(forKey: descriptor) }
                _ = system.close(descriptor)
            }
        }
    }

    /// Closes whatever the script says, as the kernel does.
    package func close(_ descriptor: Int32) -> Int32 {
        let name = name(of: descriptor)
        state.withLock { _ = $0.names.removeValue(forKey: descriptor) }
        let result = system.close(descriptor)
        return run(.close, name) { result }
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        let entry = record(.write, name(of: descriptor))
        switch script(entry) {
        case .pass: return system.write(descriptor, bytes)
        case .fail(let number): return -Int(number)
        case .failAfterwards(let number):
            _ = system.write(descriptor, bytes)
            return -Int(number)
        case .short(let count): return system.write(descriptor, UnsafeRawBufferPointer(rebasing: bytes.prefix(count)))
        }
    }

    package func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        run(.read, name(of: descriptor)) { system.read(descriptor, buffer, at: offset) }
    }

    package func setMode(_ descriptor: Int32, _ mode: UInt32) -> Int32 {
        run(.setMode, name(of: descriptor)) { system.setMode(descriptor, mode) }
    }

    package func sync(_ descriptor: Int32) -> Int32 { run(.sync, name(of: descriptor)) { system.sync(descriptor) } }

    package func allocate(_ descriptor: Int32, _ length: UInt64) -> Int32 {
        run(.allocate, name(of: descriptor)) { system.allocate(descriptor, length) }
    }

    package func status(_ descriptor: Int32) -> Result<FileStatus, SystemFailure> {
        run(.status, name(of: descriptor)) { system.status(descriptor) }
    }

    package func status(at directory: Int32, _ name: String) -> Result<FileStatus, SystemFailure> {
        run(.status, name) { system.status(at: directory, name) }
    }

    package func link(at directory: Int32, _ name: String, to newName: String) -> Int32 {
        run(.link, newName) { system.link(at: directory, name, to: newName) }
    }

    package func rename(
        _ directory: Int32, _ name: String, to newDirectory: Int32, _ newName: String, replacing: Bool
    ) -> Int32 {
        run(.rename, newName) { system.rename(directory, name, to: newDirectory, newName, replacing: replacing) }
    }

    package func unlink(at directory: Int32, _ name: String) -> Int32 {
        run(.unlink, name) { system.unlink(at: directory, name) }
    }

    package func removeDirectory(at directory: Int32, _ name: String) -> Int32 {
        run(.removeDirectory, name) { system.removeDirectory(at: directory, name) }
    }

    package func makeDirectory(at directory: Int32, _ name: String, mode: UInt32) -> Int32 {
        run(.makeDirectory, name) { system.makeDirectory(at: directory, name, mode: mode) }
    }

    package func names(in directory: Int32) -> Result<[String], SystemFailure> {
        run(.names, name(of: directory)) { system.names(in: directory) }
    }

    package func space(_ descriptor: Int32) -> Result<(free: UInt64, total: UInt64), SystemFailure> {
        run(.space, name(of: descriptor)) { system.space(descriptor) }
    }

    // MARK: - The script

    private func name(of descriptor: Int32) -> String { state.withLock { $0.names[descriptor] ?? "root" } }

    private func record(_ call: Call, _ name: String) -> Entry {
        state.withLock { state in
            let entry = Entry(index: state.entries.count, call: call, name: name)
            state.entries.append(entry)
            return entry
        }
    }

    private func run<R: SignedInteger & FixedWidthInteger>(
        _ call: Call, _ name: String, _ body: () -> R, undo: (R) -> Void = { _ in }
    ) -> R {
        switch script(record(call, name)) {
        case .fail(let number): return -R(number)
        case .failAfterwards(let number):
            undo(body())
            return -R(number)
        case .pass, .short: return body()
        }
    }

    private func run<R>(
        _ call: Call, _ name: String, _ body: () -> Result<R, SystemFailure>
    ) -> Result<R, SystemFailure> {
        switch script(record(call, name)) {
        case .fail(let number), .failAfterwards(let number): .failure(SystemFailure(number))
        case .pass, .short: body()
        }
    }
}
