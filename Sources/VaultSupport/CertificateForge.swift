// Certificates for servers of the tests, by other code than ours.

import Foundation

/// Makes authorities and certificates in a directory, with openssl.
package struct CertificateForge: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private static let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    private let directory: String

    package init(in directory: String) { self.directory = directory }

    private func openssl(_ words: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + words.split(separator: " ").map(String.init)
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: "openssl \(words)") }
    }

    /// An authority: `name`.pem and its key.
    package func authority(_ name: String) throws {
        try openssl("req -x509 \(Self.key) -keyout \(name).key -out \(name).pem -subj /CN=\(name) -days 30")
    }

    /// A certificate `name`.pem of an authority, with its key, for `places`, such as `IP:127.0.0.1`.
    @discardableResult
    package func certificate(
        _ name: String, by authority: String, for places: String, days: Int = 30
    ) throws -> OpenBaoServer.Certificate {
        try openssl("req \(Self.key) -keyout \(name).key -out \(name).csr -subj /CN=\(name)")
        try "subjectAltName=\(places)".write(
            toFile: "\(directory)/\(name).ext", atomically: true, encoding: .utf8)
        try openssl(
            "x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority).key -CAcreateserial "
                + "-extfile \(name).ext -out \(name).pem -days \(days)")
        return OpenBaoServer.Certificate(
            chain: "\(directory)/\(name).pem", key: "\(directory)/\(name).key",
            authority: "\(directory)/\(authority).pem")
    }
}
