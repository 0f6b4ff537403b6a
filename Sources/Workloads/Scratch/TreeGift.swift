// A tree that changes its owner, while the new one may already be at work in it.

import CLinux
import Glibc
import Primitives

/// Gives trees to a user, the innermost first: a directory is given when nothing is left to be done in it.
///
/// Each step goes by a descriptor of the parent and follows no link, so that nothing outside of the tree is given,
/// whatever takes the place of what.
struct TreeGift {
    private static let mostDepth = 4096

    private let user: ServerUser
    private let isClosed: Bool

    /// - Parameter isClosed: Nobody else gets to the trees while they are given.
    init(to user: ServerUser, isClosed: Bool) {
        self.user = user
        self.isClosed = isClosed
    }

    /// - Throws: `.targetFailed` with the name of what cannot be given.
    func give(_ path: String) throws(HoldfastError) { try give(AT_FDCWD, path, isOurs: true, shown: path, 0) }

    /// - Parameter isOurs: Nobody else could have put a name into the directory `parent`.
    private func give(
        _ parent: Int32, _ name: UnsafePointer<CChar>, isOurs: Bool, shown: String, _ depth: Int
    ) throws(HoldfastError) {
        let number = openat(parent, name, holdfast_o_path | O_NOFOLLOW | O_CLOEXEC)
        guard number >= 0 else {
            // What is gone needs no owner.
            if errno == ENOENT { return }
            throw failed(shown)
        }
        let thing = OwnedDescriptor(number)
        let status = try thing.status(of: shown)
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            guard depth < Self.mostDepth else { throw HoldfastError(.targetFailed, "\(shown) is too deep") }
            let isOwn = isClosed || status.st_uid == geteuid() && status.st_mode & 0o022 == 0
            try giveContents(of: thing.number, isOurs: isOwn, shown: shown, depth)
        case S_IFBLK, S_IFCHR:
            // A snapshot can hold the node of any device, and its rights.
            guard chmod("/proc/self/fd/\(thing.number)", 0) == 0 else { throw failed(shown) }
            return
        case S_IFLNK: break
        default:
            guard isOurs || status.st_nlink == 1 || status.st_uid == user.number else {
                throw HoldfastError(
                    .targetFailed, "\(shown) has another name elsewhere, and is not given to \(user.name)",
                    hint: "Restore into a directory that belongs to nobody else.")
            }
        }
        guard fchownat(thing.number, "", user.number, user.group, holdfast_at_empty_path) == 0 else {
            throw failed(shown)
        }
    }

    private func giveContents(
        of directory: Int32, isOurs: Bool, shown: String, _ depth: Int
    ) throws(HoldfastError) {
        let number = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0, let stream = fdopendir(number) else {
            let error = failed(shown)
            if number >= 0 { close(number) }
            throw error
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            guard let name = holdfast_dirent_name(entry) else { continue }
            let text = String(cString: name)
            if text == "." || text == ".." { continue }
            try give(number, name, isOurs: isOurs, shown: "\(shown)/\(text)", depth + 1)
        }
    }

    private func failed(_ shown: String) -> HoldfastError {
        HoldfastError.systemCall("give away", errno, on: shown, code: .targetFailed)
    }
}
