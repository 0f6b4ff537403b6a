// Options of verbs that move data.

import ArgumentParser
import ObjectStore
import Primitives

/// How much of the machine and of the line a verb may take.
struct TransferOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The most to read from the repository in a second.", discussion: "A size such as 500K, 10M or 1G.",
            valueName: "size"))
    var limitRead: ByteCount?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The most to write to the repository in a second.", discussion: "A size such as 500K, 10M or 1G.",
            valueName: "size"))
    var limitWrite: ByteCount?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The number of working threads.", discussion: "One for each processor, a backup at most 4, where not given."
        ))
    var threads: Int?

    static let maximumThreads = 256

    func validate() throws {
        if let threads, !(1...Self.maximumThreads).contains(threads) {
            throw ValidationError("--threads takes a number from 1 to \(Self.maximumThreads).")
        }
        for limit in [limitRead, limitWrite] where limit?.bytes == 0 {
            throw ValidationError("A limit of nothing would never end; leave the option out for no limit.")
        }
    }

    /// `store` within the limits.
    func throttled(_ store: any ObjectStore, clock: any Clock, cancellation: Cancellation) -> any ObjectStore {
        guard limitRead != nil || limitWrite != nil else { return store }
        func limit(_ rate: ByteCount?) -> ByteRateLimit? {
            rate.map { ByteRateLimit($0, clock: clock, cancellation: cancellation) }
        }
        return ThrottledStore(store, reading: limit(limitRead), writing: limit(limitWrite))
    }
}

extension ByteCount: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}
