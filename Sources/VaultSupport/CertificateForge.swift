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

    /// An authority, and a certificate `name` of it for `places`, such as `IP:127.0.0.1`.
    package func certificate(_ name: String, for places: String) throws -> OpenBaoServer.Certificate {
        try openssl("req -x509 \(Self.key) -keyout \(name)-ca.key -out \(name)-ca.pem -subj /CN=\(name)-ca -days 30")
        try openssl("req \(Self.key) -keyout \(name).key -out \(name).csr -subj /CN=\(name)")
        let path = directory + "/\(name)"
        try "subjectAltName=\(places)".write(toFile: path + ".ext", atomically: true, encoding: .utf8)
        try openssl(
            "x509 -req -in \(name).csr -CA \(name)-ca.pem -CAkey \(name)-ca.key -CAcreateserial -extfile \(name).ext "
                + "-out \(name).pem -days 30")
        return OpenBaoServer.Certificate(chain: path + ".pem", key: path + ".key", authority: path + "-ca.pem")
    }
}
