// holdfast keys rotate: a new epoch, or a new password for one's own slot.

import ArgumentParser
import Primitives
import Repository

struct KeysRotate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Start a new epoch of keys, or change the password of this slot.",
        discussion: """
            A new epoch has fresh keys for all that is written from now on; every slot that is left gets its share, \
            and no data moves. Only an admin may start one. With --password this slot is wrapped under a new password \
            or key instead, which every role may do for itself.

            Examples:

              holdfast keys rotate

              holdfast keys rotate --password --new-password-file new.password
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var secret: NewSecretOptions

    @Flag(name: .long, help: "Change the password or key of this slot instead of starting an epoch.")
    var password = false

    func validate() throws {
        if !password && (secret.newPasswordFile != nil || secret.newKeyFile != nil) {
            throw ValidationError("--new-password-file and --new-key-file go with --password.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let slot = repository.keyring.slot
            if password {
                let key = try secret.key(context)
                try repository.changeSecret(key.secret, derivation: key.isRaw ? .rawKey : .standard)
                try context.output.line("key slot \(slot) opens with the new \(key.isRaw ? "key" : "password")")
                try context.output.json(KeysRotatedReport(slot: slot.description, epoch: nil))
                return .success
            }
            let epoch = try repository.rotateEpoch()
            try context.output.line("started epoch \(epoch)")
            try context.output.json(KeysRotatedReport(slot: slot.description, epoch: epoch))
            return .success
        }
    }
}

/// `holdfast.keys-rotate/1`.
struct KeysRotatedReport: Encodable {
    let schema = "holdfast.keys-rotate/1"
    let slot: String
    /// The epoch that was started; missing when the slot's password changed.
    let epoch: UInt32?

    private enum CodingKeys: String, CodingKey { case schema, slot, epoch }
}
