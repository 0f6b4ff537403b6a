// What open work the store shows: every lease, its newest renewal, and whether its snapshot's name is taken.

import ObjectStore
import Primitives
import Sealing

/// A lease that stands in the way of deleting, until it honours a generation or is fenced.
package struct OpenLease: Sendable {
    package var id: LeaseID
    /// The newest renewal of the member who opened the lease, else the oldest that can be read; nil when none can.
    package var object: LeaseObject?
    /// Whether the signature of `object` is that of a member. What others say counts for nothing.
    package var isVerified: Bool
    /// Whose it is, as the admin labelled the slot.
    package var label: String
    /// Store time of the oldest and of the newest renewal.
    package var opened: Timestamp
    package var renewed: Timestamp

    /// Whether the holder said that it treats the packs of `generation` as absent.
    package func honours(_ generation: UInt32) -> Bool {
        isVerified && object.map { $0.honoured >= generation } ?? false
    }

    /// Whether the lease may be fenced at `now` on the store's clock. Age triggers the fence; the fence makes it safe.
    package func isExpired(at now: Timestamp) -> Bool {
        now.since(renewed) > LeaseTimes.expiry || now.since(opened) > LeaseTimes.maximumLife
    }

    /// Whether the holder was silent for a whole grace, or held the lease for longer than one lives: fenced whatever it
    /// honoured.
    package func isLost(at now: Timestamp) -> Bool {
        now.since(renewed) > LeaseTimes.grace || now.since(opened) > LeaseTimes.maximumLife
    }

    /// Whether a commit may follow: readers and repacks have none.
    package var mayCommit: Bool { object?.purpose == .write }
}

/// All leases of the store.
package struct LeaseSurvey: Sendable {
    /// Leases that are not closed and whose snapshot is neither committed nor fenced off.
    package var open: [OpenLease] = []
    /// Leases whose snapshot's name is taken, or that say that they are closed.
    package var settled: [OpenLease] = []
}

extension Repository {
    /// Lists the leases, reads the newest renewal of each, then asks for the name of its snapshot.
    ///
    /// The roster is read after the listing, so that a member who was added a moment ago is known.
    package func surveyLeases() throws(HoldfastError) -> LeaseSurvey {
        var found: [LeaseID: [(number: UInt32, modified: Timestamp)]] = [:]
        try store.list(ObjectNames.leases) { (info) throws(HoldfastError) in
            guard let name = ObjectNames.leaseNumber(info.key) else { return }
            found[name.id, default: []].append((name.number, info.modified))
        }
        var survey = LeaseSurvey()
        if found.isEmpty { return survey }
        let roster = Keyring.roster(of: try grants().map(\.grant))
        for (id, renewals) in found.sorted(by: { $0.key < $1.key }) {
            guard let lease = try newestRenewal(of: id, renewals, roster) else { continue }
            var isSettled = lease.isVerified && lease.object?.isClosed == true
            if let object = lease.object, object.purpose == .write, !isSettled {
                isSettled = try store.info(ObjectNames.snapshot(object.tag, id)) != nil
            }
            if isSettled { survey.settled.append(lease) } else { survey.open.append(lease) }
        }
        return survey
    }

    /// What a lease says; nil when it was closed while it was read.
    ///
    /// It belongs to whoever signed the oldest renewal that is there: its id is random, and renewals go the newest
    /// first. What other members put beside it says nothing, so that a stolen key can close or answer for no lease
    /// but its own.
    private func newestRenewal(
        of id: LeaseID, _ renewals: [(number: UInt32, modified: Timestamp)], _ roster: [SlotID: Member]
    ) throws(HoldfastError) -> OpenLease? {
        let numbers = renewals.map(\.number).sorted()
        var isDamaged = false
        var oldest: (object: LeaseObject, isVerified: Bool)?
        for number in numbers where oldest?.isVerified != true {
            let found = try renewal(of: id, number, roster, &isDamaged)
            if found?.isVerified == true || oldest == nil { oldest = found ?? oldest }
        }
        let owner = oldest?.isVerified == true ? oldest?.object.slot : nil
        var newest = oldest
        for number in numbers.reversed() where owner != nil && number > oldest?.object.number ?? 0 {
            guard let found = try renewal(of: id, number, roster, &isDamaged), found.isVerified,
                found.object.slot == owner
            else { continue }
            newest = found
            break
        }
        guard newest != nil || isDamaged else { return nil }
        let times = renewals.map(\.modified)
        return OpenLease(
            id: id, object: newest?.object, isVerified: owner != nil,
            label: owner.flatMap { roster[$0]?.label } ?? "unknown",
            opened: times.min() ?? Timestamp(nanoseconds: 0), renewed: times.max() ?? Timestamp(nanoseconds: 0))
    }

    /// One renewal, and whether it bears a member's signature; nil when it is gone, foreign or damaged.
    private func renewal(
        of id: LeaseID, _ number: UInt32, _ roster: [SlotID: Member], _ isDamaged: inout Bool
    ) throws(HoldfastError) -> (object: LeaseObject, isVerified: Bool)? {
        let key = ObjectNames.lease(id, number)
        do throws(HoldfastError) {
            let bytes = try store.get(key, limit: LeaseObject.maximumSize)
            let object = try LeaseObject(bytes, name: key.path)
            guard object.repository == self.id, object.lease == id, object.number == number else { return nil }
            let (body, signature) = try SignedFrame.open(bytes, name: key.path)
            let isVerified = roster[object.slot].map {
                SigningKey.verify(signature.span.bytes, body.span.bytes, publicKey: $0.signingKey)
            }
            return (object, isVerified == true)
        } catch {
            switch error.code {
            case .objectMissing: return nil
            case .corruptObject, .unsupportedFormat, .limitExceeded:
                isDamaged = true
                return nil
            default: throw error
            }
        }
    }

    /// Takes the name of a lost writer's snapshot, so that its late commit fails. Success when the name is taken
    /// already: then it committed, or another collector was here.
    func fence(_ lease: OpenLease, generation: UInt32) throws(HoldfastError) {
        guard let tag = lease.object?.tag else { return }
        try bury(lease.id, of: tag, generation: generation)
    }

    /// Puts a tombstone under the name of a snapshot that never came or was forgotten. Success when the name is taken.
    package func bury(_ snapshot: SnapshotID, of tag: SourceTag, generation: UInt32) throws(HoldfastError) {
        let tombstone = TombstoneObject(
            repository: id, tag: tag, snapshot: snapshot, slot: keyring.slot, generation: generation,
            made: clock.now())
        let bytes = try tombstone.encoded(signer: keyring.signing)
        do throws(HoldfastError) {
            try store.putIfAbsent(ObjectNames.snapshot(tag, snapshot), bytes.span.bytes)
        } catch {
            guard error.code == .objectExists else { throw error }
        }
    }
}
