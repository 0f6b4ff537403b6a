// Owner, attributes, mode and times, in the order in which they do not undo each other.

import CLinux
import Glibc
import Primitives
import Repository

extension TreeWriter {
    private static let accessList = Array("system.posix_acl_access".utf8)
    private static let defaultList = Array("system.posix_acl_default".utf8)
    private static let capability = Array("security.capability".utf8)

    private static func isAccessControl(_ name: [UInt8]) -> Bool { name == accessList || name == defaultList }

    /// Sets the metadata of the thing at `parts`, which must be of the same kind.
    func applyNow(_ metadata: EntryMetadata, at parts: [[UInt8]]) throws(HoldfastError) {
        guard let place = try place(parts) else { return try apply(metadata, to: directories.root, parts: parts) }
        let found = try kind(at: place)
        guard found == metadata.kind else {
            throw HoldfastError(
                .targetFailed, "\(directories.describe(parts)) is not what was restored there",
                hint: "Let nothing else write to the target during a restore.")
        }
        switch metadata.kind {
        case .directory:
            try apply(metadata, to: directories.open(parts[...]), parts: parts)
        case .file:
            let number = withCString(place.name) { openPart(place.parent.number, $0, O_RDONLY | O_NONBLOCK) }
            guard number >= 0 else { throw failed("open", -number, parts) }
            try apply(metadata, to: OwnedDescriptor(number), parts: parts)
        case .symbolicLink, .fifo, .characterDevice, .blockDevice, .socket:
            try applyByName(metadata, place)
        }
    }

    /// Sets the metadata of an open file or directory.
    func apply(_ metadata: EntryMetadata, to descriptor: OwnedDescriptor, parts: [[UInt8]]) throws(HoldfastError) {
        let number = descriptor.number
        var status = try descriptor.status(of: directories.describe(parts))
        if status.st_uid != metadata.user || status.st_gid != metadata.group {
            setOwner(metadata, status, parts) { fchown(number, $0, $1) }
            status = try descriptor.status(of: directories.describe(parts))
        }
        // Attributes while the owner may still write; capabilities after the owner, since chown drops them.
        let holder = AttributeHolder.descriptor(number)
        let names = holder.names()
        setAttributes(metadata.attributes.filter { !Self.isAccessControl($0.name) }, holder, parts)
        removeOthers(names.names, than: metadata.attributes, holder, parts)
        let mode = safeMode(metadata, status, parts)
        guard fchmod(number, mode_t(mode)) == 0 else { throw failed("change the mode of", errno, parts) }
        // Access lists last: they carry the same bits as the mode, and chmod rewrites their mask.
        let lists = metadata.attributes.filter { Self.isAccessControl($0.name) }
        setAttributes(lists, holder, parts)
        if !lists.isEmpty, mode & 0o7000 != 0, fchmod(number, mode_t(mode)) != 0 {
            throw failed("change the mode of", errno, parts)
        }
        let error = Self.setTime(metadata, number, nil)
        guard error == 0 else { throw failed("set the time of", error, parts) }
    }

    /// Sets the metadata of a thing that is not opened, by its name in its parent, links not followed.
    private func applyByName(_ metadata: EntryMetadata, _ place: Place) throws(HoldfastError) {
        let parent = place.parent.number
        var status = stat()
        _ = try kind(at: place, &status)
        if status.st_uid != metadata.user || status.st_gid != metadata.group {
            withCString(place.name) { name in
                setOwner(metadata, status, place.parts) { fchownat(parent, name, $0, $1, AT_SYMLINK_NOFOLLOW) }
            }
            _ = try kind(at: place, &status)
        }
        if hasProc {
            withCString(Array("/proc/self/fd/\(parent)/".utf8) + place.name) { path in
                let holder = AttributeHolder.path(path)
                let names = holder.names()
                setAttributes(metadata.attributes, holder, place.parts)
                removeOthers(names.names, than: metadata.attributes, holder, place.parts)
            }
        } else if !metadata.attributes.isEmpty {
            warn(place.parts, "extended attributes need /proc")
        }
        if metadata.kind != .symbolicLink { try setModeByName(safeMode(metadata, status, place.parts), place) }
        let number = withCString(place.name) { Self.setTime(metadata, parent, $0) }
        guard number == 0 else { throw failed("set the time of", number, place.parts) }
    }

    /// chmod of a thing that must not be opened: through a descriptor that only names it, so that no link put in its
    /// place is followed.
    private func setModeByName(_ mode: UInt32, _ place: Place) throws(HoldfastError) {
        let number = withCString(place.name) { openPart(place.parent.number, $0, holdfast_o_path) }
        guard number >= 0 else { throw failed("open", -number, place.parts) }
        let handle = OwnedDescriptor(number)
        let status = try handle.status(of: directories.describe(place.parts))
        guard EntryKind(fileMode: status.st_mode) != .symbolicLink else {
            throw unsafe("a symbolic link took the place of what was restored", place.parts)
        }
        let changed = withCString(Array("/proc/self/fd/\(handle.number)".utf8)) {
            chmod($0, mode_t(mode)) == 0 ? 0 : errno
        }
        guard changed == 0 else { throw failed("change the mode of", changed, place.parts) }
    }

    private func setOwner(
        _ metadata: EntryMetadata, _ status: stat, _ parts: [[UInt8]], _ change: (UInt32, UInt32) -> Int32
    ) {
        guard options.ownership else { return }
        if change(metadata.user, metadata.group) == 0 { return }
        // A caller who is not root may still be a member of the group.
        _ = change(UInt32.max, metadata.group)
        countOwnerNotSet()
    }

    /// The mode, without the set-id bits when the thing does not belong to whom they would lend their rights.
    private func safeMode(_ metadata: EntryMetadata, _ status: stat, _ parts: [[UInt8]]) -> UInt32 {
        var mode = metadata.mode & 0o7777
        guard metadata.kind == .file else { return mode }
        let wanted = mode
        if status.st_uid != metadata.user { mode &= ~0o4000 }
        if status.st_gid != metadata.group { mode &= ~0o2000 }
        if mode != wanted { warn(parts, "the set-id bits were left out, since the owner is another") }
        return mode
    }

    private func setAttributes(_ attributes: [ExtendedAttribute], _ holder: AttributeHolder, _ parts: [[UInt8]]) {
        for attribute in attributes {
            guard !attribute.name.isEmpty, attribute.name.count <= 255, !attribute.name.contains(0) else {
                warn(parts, "an extended attribute has an impossible name")
                continue
            }
            if holder.value(of: attribute.name) == attribute.value { continue }
            let number = holder.set(attribute.name, attribute.value)
            if number != 0 {
                warn(parts, "attribute \(printablePath(attribute.name)) was not set: \(describeErrno(number))")
            }
        }
    }

    /// Removes what is not in the snapshot, of the kinds that belong to the owner. Labels of a security module stay.
    private func removeOthers(
        _ found: [[UInt8]], than wanted: [ExtendedAttribute], _ holder: AttributeHolder, _ parts: [[UInt8]]
    ) {
        for name in found where !wanted.contains(where: { $0.name == name }) {
            let isOurs =
                name.starts(with: "user.".utf8) || name.starts(with: "trusted.".utf8) || name == Self.capability
                || Self.isAccessControl(name)
            guard isOurs else { continue }
            let number = holder.remove(name)
            if number != 0, number != ENODATA {
                warn(parts, "attribute \(printablePath(name)) was not removed: \(describeErrno(number))")
            }
        }
    }

    /// Access time as it is, modification time as it was; 0 or the error's number.
    private static func setTime(_ metadata: EntryMetadata, _ descriptor: Int32, _ name: UnsafePointer<CChar>?) -> Int32
    {
        // The first two seconds of the range are clamped: rounding down would leave it.
        let modified = max(metadata.modified, Timestamp(nanoseconds: .min + 2_000_000_000))
        let seconds = modified.seconds
        return holdfast_set_modified(descriptor, name, seconds, modified.nanoseconds - seconds * 1_000_000_000)
    }
}
