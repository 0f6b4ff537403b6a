// What a check by hand found, for `status`.

import Configuring
import ControlPlane
import FoundationEssentials
import Primitives
import Scheduling
import State

/// A check that nobody else notes: by hand, or by a command. Where there is no state nothing asks for it either.
struct HandCheck {
    private let store: SQLiteRunStore
    /// From before anything was read.
    private let token: Int64

    /// Nil where nothing is to be noted, or cannot be, which a warning says.
    init?(_ context: CommandContext) {
        guard context.variables[RunMark.check] == nil, let path = try? context.runStorePath(),
            FileManager.default.fileExists(atPath: path)
        else { return nil }
        do throws(HoldfastError) {
            store = try context.openRunStore()
            token = try store.beginCheck(at: context.clock.now())
        } catch {
            Self.warn(error, context)
            return nil
        }
    }

    /// - Parameter location: Of the copy that was checked.
    func note(_ extent: CheckExtent, isGood: Bool, at location: String, memory: String?, _ context: CommandContext) {
        var note = CheckNote(extent, repository: RepositoryIdentity.path(of: location), memory: memory)
        // What is said of budgets holds here as well.
        if extent == .part, memory == nil { note.extent = isGood ? .structure : .everything }
        do throws(HoldfastError) {
            try store.endCheck(token, note, isGood ? .succeeded : .checkFailed, at: context.clock.now())
            if isGood { try DamageAlerts.resolve(in: store, at: context.clock.now()) }
        } catch {
            Self.warn(error, context)
        }
    }

    private static func warn(_ error: HoldfastError, _ context: CommandContext) {
        context.output.warning("`status` will not know of this check: \(ShownText.line(error.message))")
    }
}
