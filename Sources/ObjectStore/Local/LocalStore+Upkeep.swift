// The reserve for full disks, damaged objects, and what crashed puts left behind.

import CLinux
import Glibc
import Logging
import Primitives

extension LocalStore {
    package func releaseReserve() throws(HoldfastError) {
        let result = calls.unlink(at: root, Self.reserveName)
        if result == -ENOENT { return }
        if result < 0 { throw failure("unlink", -result, on: Self.reserveName) }
        try sync(root, location)
    }

    /// Sets the reserve aside again where there is room for it twice over; false when it is not whole after the call.
    ///
    /// A reserve that cannot be had is no failure: a full disk must stay readable.
    @discardableResult
    package func refillReserve() -> Bool {
        guard reserve.bytes > 0 else { return true }
        guard case .success(let space) = calls.space(root) else { return false }
        let wanted = Self.reserveSize(volume: space.total, packs: aboutHowManyPacks, most: reserve).bytes
        if case .success(let status) = calls.status(at: root, Self.reserveName), status.allocated >= wanted {
            return true
        }
        guard space.free / 2 >= wanted else { return false }
        let descriptor = calls.open(at: root, Self.reserveName, O_WRONLY | O_CREAT, mode: 0o600)
        guard descriptor >= 0 else { return false }
        defer { _ = calls.close(descriptor) }
        do throws(HoldfastError) {
            try fillReserve(descriptor, wanted)
            try sync(descriptor, Self.reserveName)
            return true
        } catch {
            logger.debug("the reserve cannot be filled", metadata: ["error": "\(error)"])
            // Half a reserve on a full disk would be half of somebody's room.
            _ = calls.unlink(at: root, Self.reserveName)
            return false
        }
    }

    /// What is set aside: what frees space writes lists of packs first, 64 bytes for each. A full volume holds a pack
    /// for every 16 MiB, or more where they are small: then a kibibyte for each that is there is far above the lists.
    ///
    /// - Parameter volume: The bytes of the whole file system.
    package static func reserveSize(volume: UInt64, packs: UInt64, most: ByteCount) -> ByteCount {
        ByteCount(min(most.bytes, max(1 << 20, volume >> 18, packs << 10)))
    }

    /// Packs are named at random: the directories of some first bytes tell about how many there are.
    private var aboutHowManyPacks: UInt64 {
        let looks: [UInt8] = [0x00, 0x55, 0xAA, 0xFF]
        var packs: UInt64 = 0
        for byte in looks {
            guard let directory = try? openDirectory("packs/" + Hex.encode(CollectionOfOne(byte))) else { continue }
            defer { _ = calls.close(directory) }
            if case .success(let names) = calls.names(in: directory) { packs += UInt64(names.count) }
        }
        return packs * (256 / UInt64(looks.count))
    }

    /// Allocates the reserve; where the file system does not allocate on request, random bytes that no compression
    /// shrinks are written.
    private func fillReserve(_ descriptor: Int32, _ wanted: UInt64) throws(HoldfastError) {
        if calls.allocate(descriptor, wanted) == 0, case .success(let status) = calls.status(descriptor),
            status.allocated >= wanted
        {
            return
        }
        let piece = try entropy.bytes(1 << 16)
        var left = wanted
        while left > 0 {
            let count = min(left, UInt64(piece.count))
            let part = piece.span.bytes
            try writeAll(descriptor, part.extracting(first: Int(count)))
            left -= count
        }
    }

    /// Moves a damaged object to `quarantine/`, so that a good one can be put; success when it is not there.
    ///
    /// - Durability: on return the object is out of its place on stable storage; its bytes are kept for inspection.
    package func setAside(_ key: ObjectKey) throws(HoldfastError) {
        guard let from = try openDirectory(of: key) else { return }
        defer { _ = calls.close(from) }
        // A directory has the name of no object, and all that is in it would go along.
        switch calls.status(at: from, String(key.lastPart)) {
        case .success(let status) where status.kind == .regular: break
        case .success: return
        case .failure(let failure) where failure.errorNumber == ENOENT: return
        case .failure(let failure): throw self.failure("stat", failure.errorNumber, on: key.path)
        }
        try makeDirectories(Self.quarantineDirectory)
        guard let to = try openDirectory(Self.quarantineDirectory) else {
            throw failure("open", ENOENT, on: Self.quarantineDirectory)
        }
        defer { _ = calls.close(to) }
        // One file name may have 255 bytes; the end of a long key tells more than its beginning.
        let flat = key.path.split(separator: "/").joined(separator: "_").suffix(200)
        let name = "object-\(flat).\(Hex.encode(try entropy.bytes(8)))"
        let result = calls.rename(from, String(key.lastPart), to: to, name, replacing: true)
        if result == -EXDEV {
            // A mount below the root: the object stays in its directory under a name that is no object's.
            let local = calls.rename(from, String(key.lastPart), to: from, ".\(name)", replacing: true)
            if local < 0, local != -ENOENT { throw failure("rename", -local, on: key.path) }
            return try sync(from, "the directory of \(key)")
        }
        if result == -ENOENT { return }
        if result < 0 { throw failure("rename", -result, on: key.path) }
        // The new name first: a power cut in between leaves two names rather than none.
        try sync(to, Self.quarantineDirectory)
        try sync(from, "the directory of \(key)")
        logger.debug("a damaged object was set aside", metadata: ["object": "\(key)", "as": "\(name)"])
    }

    /// Removes the temporary files of puts that never finished; returns how many.
    ///
    /// - Parameter age: files younger than this on the store's own clock may belong to a put under way and stay. A put
    ///   whose file is taken away all the same fails, and its retry writes a new one.
    package func removeAbandonedPuts(olderThan age: Duration) throws(HoldfastError) -> Int {
        let now = try time()
        var removed = 0
        var pending = [""]
        while let path = pending.popLast() {
            guard let directory = try openDirectory(path) else { continue }
            defer { _ = calls.close(directory) }
            var isChanged = false
            for name in try names(in: directory, path) {
                guard case .success(let status) = calls.status(at: directory, name) else { continue }
                let child = path.isEmpty ? name : "\(path)/\(name)"
                if status.kind == .directory, ObjectKey(child) != nil { pending.append(child) }
                let isOurs = name.hasPrefix(Self.temporaryPrefix) || name.hasPrefix(Self.probePrefix)
                guard isOurs, status.kind == .regular, now.since(status.modified) > age else { continue }
                let result = calls.unlink(at: directory, name)
                if result == -ENOENT { continue }
                if result < 0 { throw failure("unlink", -result, on: child) }
                removed += 1
                isChanged = true
            }
            if isChanged { try sync(directory, path.isEmpty ? location : path) }
        }
        return removed
    }
}
