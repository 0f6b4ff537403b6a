// Who holds a key, as the store tells it to whoever asks: the admin's signatures stand on it, no key is needed.

import ObjectStore
import Primitives

/// One who was ever granted a key, as seen without a key.
package struct KnownSlot: Sendable {
    package var member: Member
    /// The newest slot object that can be read; nil when there is none.
    package var stored: SlotObject?
}

extension Repository {
    /// Everyone who was ever granted a key, by the signatures of the admin that the format object names.
    package static func knownSlots(
        in store: any ObjectStore, environment: Environment
    ) throws(HoldfastError) -> [KnownSlot] {
        let format = try readFormat(in: store, trusted: nil)
        let slots = try readSlots(in: store, format: format, logger: environment.logger).map(\.object)
        let grants = try readGrants(in: store, format: format, logger: environment.logger)
        return known(Keyring.roster(of: grants.map(\.grant)), slots)
    }

    /// The same of an open repository, oldest slots first.
    package func knownSlots() throws(HoldfastError) -> [KnownSlot] {
        Self.known(keyring.roster, try slots().map(\.object))
    }

    private static func known(_ roster: [SlotID: Member], _ slots: [SlotObject]) -> [KnownSlot] {
        var stored: [SlotID: SlotObject] = [:]
        // In order of revisions, so that the newest stays.
        for slot in slots.sorted(by: { $0.revision < $1.revision }) { stored[slot.id] = slot }
        return roster.values.map { KnownSlot(member: $0, stored: stored[$0.slot]) }
            .sorted { one, other in
                let last = Timestamp(nanoseconds: .max)
                return (one.stored?.created ?? last, one.member.slot)
                    < (other.stored?.created ?? last, other.member.slot)
            }
    }
}
