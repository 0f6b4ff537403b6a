// The version of the program, in one place.

/// The version that `--version` prints and that snapshots name.
package enum ToolVersion {
    package static let current = "0.1.0"
}
