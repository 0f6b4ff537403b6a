// Copies of files that a scheduler has accepted: they mean what the originals meant where those lay.

import FoundationEssentials
import Primitives

/// Files of a directory that were copied from another one.
///
/// A file of the name ``originName`` beside them says from which: relative paths in them go from there, and what is
/// wrong with them is told by the names that they had there.
package enum KeptFile {
    package static let originName = ".holdfast-origin"
    private static let maximumPath = ByteCount(4096)

    /// Where the files of `directory` were copied from; nil when they are no copies.
    package static func origin(of directory: String) -> String? {
        guard let bytes = try? InputFile.read("\(directory)/\(originName)", limit: maximumPath, waits: false),
            let text = String(validating: bytes, as: UTF8.self), text.hasPrefix("/")
        else { return nil }
        return text
    }

    /// The path by which people know a file, and the directory from which its relative paths go, without a closing
    /// slash.
    static func place(of path: String) -> (shown: String, directory: String) {
        let absolute = Host.absolutePath(path)
        guard let slash = absolute.lastIndex(of: "/") else { return (path, "") }
        let directory = String(absolute[..<slash])
        guard let origin = origin(of: directory) else { return (path, directory) }
        return (origin + absolute[slash...], origin)
    }

    /// Copies files into a new directory.
    ///
    /// - Parameter origin: The directory that they are in.
    package static func copy(
        _ names: [String], from origin: String, to directory: String
    ) throws(HoldfastError) {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            try Data(Host.absolutePath(origin).utf8).write(to: URL(filePath: "\(directory)/\(originName)"))
            for name in names {
                let bytes = try InputFile.read(
                    "\(origin)/\(name)", limit: ByteCount(UInt64(YAMLReader.maximumBytes) + 1), waits: false)
                try Data(bytes).write(to: URL(filePath: "\(directory)/\(name)"))
            }
        } catch let error as HoldfastError {
            throw error
        } catch {
            throw HoldfastError(
                .inputOutput, "copy the files of \(origin) to \(directory)",
                hint: "Free some space, or check the owner of the state directory.", cause: error)
        }
    }
}
