// The table of what each layer may import, and the rule that holds Package.swift and the sources to it.

/// What each target may depend on. This table is the authority: Package.swift may declare less, never more.
enum Layers {
    static let allowed: [String: Set<String>] = [
        "CZstd": [], "CZlib": [], "CArchive": [], "COpenSSL": [], "CSodium": [], "CPostgres": [], "CSQLite": [],
        "CHaru": [], "CQRencode": [], "CLinux": [], "CTLS": [],
        "Primitives": ["CLinux"],
        "Sealing": ["Primitives", "CLinux", "COpenSSL", "CSodium"],
        "Compression": ["Primitives", "CZstd", "CZlib"],
        "Chunking": ["Primitives"],
        "Printing": ["Primitives", "CLinux", "CHaru", "CQRencode"],
        "ObjectStore": ["Primitives", "CLinux", "Logging"],
        "Repository": ["Primitives", "Sealing", "Compression", "Chunking", "ObjectStore", "Logging", "CLinux"],
        "Workloads": [
            "Primitives", "Sealing", "Compression", "Chunking", "ObjectStore", "Repository", "CLinux", "CArchive",
            "CPostgres", "CSQLite", "Logging", "SecretVaults",
        ],
        "Scheduling": ["Primitives", "Sealing"],
        "State": ["Primitives", "CLinux", "Sealing", "Scheduling", "GRDB"],
        "SecretVaults": ["Primitives"],
        "VaultProviders": [
            "Primitives", "CLinux", "Sealing", "SecretVaults", "GRDB", "AsyncHTTPClient", "NIOCore", "NIOHTTP1",
            "NIOPosix", "NIOSSL",
        ],
        "Telemetry": ["Primitives", "CLinux", "CTLS", "Sealing", "Scheduling", "State", "Logging"],
        "ControlPlane": [
            "Primitives", "CLinux", "Scheduling", "State", "Logging", "ServiceLifecycle", "UnixSignals",
        ],
        "Configuring": [
            "Primitives", "Compression", "ObjectStore", "Repository", "SecretVaults", "Workloads", "Scheduling", "Yams",
        ],
        "Recovery": [
            "Primitives", "Sealing", "Compression", "Chunking", "Printing", "ObjectStore", "Repository", "Workloads",
            "CLinux", "CArchive", "Logging", "SecretVaults",
        ],
        "Compliance": ["Primitives", "Sealing", "Printing", "Repository", "Recovery"],
        "Commands": [
            "Primitives", "Sealing", "Compression", "Chunking", "Printing", "ObjectStore", "Repository",
            "Configuring", "Workloads", "Scheduling", "State", "Telemetry", "ControlPlane", "Recovery",
            "Compliance", "SecretVaults", "VaultProviders", "ArgumentParser", "Logging",
        ],
        "holdfast": ["Commands"],
        "TestSupport": ["Primitives", "Sealing", "ObjectStore", "Repository", "Logging", "CLinux"],
        "StateSupport": ["Primitives", "Scheduling", "State"],
        "Benchmarks": [
            "Primitives", "Sealing", "Compression", "Chunking", "ObjectStore", "Repository", "Workloads", "Scheduling",
            "State", "Recovery", "Compliance", "CLinux", "TestSupport", "Logging",
        ],
        "Fuzzing": [
            "Primitives", "Sealing", "Compression", "ObjectStore", "Repository", "Workloads", "TestSupport",
        ],
        "FuzzEntry": ["Primitives", "Fuzzing"],
        "Simulation": [
            "Primitives", "Sealing", "Compression", "Chunking", "ObjectStore", "Repository", "Recovery", "TestSupport",
            "Logging",
        ],
        "Soak": ["Primitives", "Simulation"],
        "VaultWriter": ["Primitives", "SecretVaults", "VaultProviders"],
        "VaultSupport": ["Primitives", "SecretVaults", "VaultProviders"],
        "AuditWriter": ["Primitives", "State"],
        "TestThreads": [],
    ]

    /// Targets that must never reach the product; they may use each other where the table says so.
    static let neverShipped: Set<String> = [
        "Simulation", "Soak", "TestSupport", "StateSupport", "Benchmarks", "Fuzzing", "FuzzEntry",
        "VaultWriter", "VaultSupport", "AuditWriter", "TestThreads",
    ]

    /// Modules that come with the toolchain; none needs a declaration.
    static let toolchain: Set<String> = [
        "Swift", "Glibc", "Synchronization", "Foundation", "FoundationEssentials", "Dispatch", "Testing",
    ]

    /// Holds a manifest to the table.
    static func check(_ manifest: Manifest) -> [Violation] {
        manifest.targets.flatMap { target -> [Violation] in
            func violation(_ message: String) -> Violation {
                Violation(path: "Package.swift", line: target.line, message: message)
            }
            if target.isTest { return [] }
            guard let allowed = allowed[target.name] else {
                return [violation("target \(target.name) has no line in the table of layers")]
            }
            return target.dependencies.subtracting(allowed).sorted()
                .map { violation("\(target.name) may not depend on \($0)") }
        }
    }

    /// Holds one file's imports to the manifest and the table.
    static func check(_ source: SwiftSource, _ manifest: Manifest) -> [Violation] {
        let parts = source.path.split(separator: "/")
        guard parts.count > 2, let target = manifest.targets.first(where: { $0.name == parts[1] }) else {
            return [Violation(path: source.path, line: 0, message: "belongs to no target of Package.swift")]
        }
        return imports(source).compactMap { line, module in
            func violation(_ message: String) -> Violation {
                Violation(path: source.path, line: line, message: message)
            }
            if toolchain.contains(module) {
                return module == "Testing" && !target.isTest && target.name != "TestThreads"
                    ? violation("only tests and TestThreads import Testing") : nil
            }
            if !target.isTest && !neverShipped.contains(target.name) && neverShipped.contains(module) {
                return violation("\(module) does not ship")
            }
            if !target.isTest && allowed[target.name]?.contains(module) != true {
                return violation("\(target.name) may not import \(module)")
            }
            return target.dependencies.contains(module)
                ? nil : violation("\(target.name) imports \(module) but does not declare it in Package.swift")
        }
    }

    /// The modules that a file imports, with their lines; `import struct A.B` and `@testable import A` import A.
    static func imports(_ source: SwiftSource) -> [(line: Int, module: String)] {
        var found: [(line: Int, module: String)] = []
        for (index, line) in source.lines(source.code).enumerated() {
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"), place + 1 < words.count else { continue }
            guard words[..<place].allSatisfy({ $0.hasPrefix("@") || accessLevels.contains($0) }) else { continue }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            let name = kinds.contains(words[place + 1]) ? words[words.count - 1] : words[place + 1]
            found.append((index + 1, String(name.prefix { $0 != "." && $0 != ";" })))
        }
        return found
    }

    private static let accessLevels: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
}
