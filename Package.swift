// swift-tools-version: 6.2
// One package; folders are layers. Tests/Tidy holds the table of what each layer may import.

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "holdfast",
    products: [
        .executable(name: "holdfast", targets: ["holdfast"]),
        // Built by scripts/fuzz alone, with the fuzzer's instrumentation.
        .library(name: "HoldfastFuzz", type: .static, targets: ["FuzzEntry"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CTLS", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CHaru", providers: [.apt(["libhpdf-dev"])]),
        .systemLibrary(name: "CQRencode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),
        .target(name: "CLinux"),
        library("Primitives", ["CLinux"]),
        library("Sealing", ["Primitives", "CLinux", "COpenSSL", "CSodium"]),
        library("Compression", ["Primitives", "CZstd", "CZlib"]),
        library("Chunking", ["Primitives"]),
        library("Printing", ["Primitives", "CLinux", "CHaru", "CQRencode"]),
        library("ObjectStore", ["Primitives", "CLinux", logging]),
        library("Repository", ["Primitives", "CLinux", "Sealing", "Compression", "Chunking", "ObjectStore", logging]),
        library(
            "Workloads",
            [
                "Primitives", "Sealing", "CLinux", "CArchive", "CPostgres", "CSQLite", "Chunking", "Repository",
                "SecretVaults",
            ]),
        library("Scheduling", ["Primitives", "Sealing"]),
        library("State", ["Primitives", "CLinux", "Sealing", "Scheduling", grdb]),
        library("SecretVaults", ["Primitives"]),
        library(
            "VaultProviders",
            [
                "Primitives", "CLinux", "Sealing", "SecretVaults", grdb, httpClient, nioCore, nioHTTP, nioPosix, nioTLS,
            ]),
        library("Telemetry", ["Primitives", "CLinux", "CTLS", "Sealing", "Scheduling", "State", logging]),
        library("ControlPlane", ["Primitives", "CLinux", "Scheduling", "State", logging, lifecycle, signals]),
        library(
            "Configuring",
            [
                "Primitives", "Compression", "ObjectStore", "Repository", "SecretVaults", "Workloads", "Scheduling",
                yams,
            ]),
        library(
            "Recovery",
            [
                "Primitives", "CLinux", "Sealing", "Compression", "Chunking", "Printing", "ObjectStore", "Repository",
                "SecretVaults", "Workloads", logging,
            ]),
        library("Compliance", ["Primitives", "Sealing", "Printing", "Repository", "Recovery"]),
        library(
            "Commands",
            [
                "Primitives", "Sealing", "Compression", "Chunking", "Printing", "ObjectStore", "Repository",
                "Configuring", "SecretVaults", "VaultProviders", "Workloads", "Scheduling", "State", "Telemetry",
                "ControlPlane",
                "Recovery", "Compliance", argumentParser, logging,
            ]),
        .executableTarget(name: "holdfast", dependencies: ["Commands"], swiftSettings: settings),
        library("TestSupport", ["Primitives", "CLinux", "ObjectStore", "Sealing", "Repository", logging]),
        // Apart from TestSupport, since the fuzzer links that without the database and what it brings.
        library("StateSupport", ["Primitives", "Scheduling", "State"]),
        library("VaultSupport", ["Primitives", "SecretVaults", "VaultProviders"]),
        // The one library that imports Testing.
        library("TestThreads", []),
        library(
            "Simulation",
            ["Primitives", "Sealing", "Compression", "ObjectStore", "Repository", "Recovery", "TestSupport", logging]),
        .executableTarget(name: "Soak", dependencies: ["Primitives", "Simulation"], swiftSettings: settings),
        library(
            "Fuzzing",
            ["Primitives", "Sealing", "Compression", "ObjectStore", "Repository", "Workloads", "TestSupport"]),
        library("FuzzEntry", ["Primitives", "Fuzzing"]),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "Primitives", "Sealing", "Compression", "Chunking", "ObjectStore", "Repository", "Workloads",
                "Scheduling", "State", "Recovery", "Compliance", "TestSupport", logging,
            ],
            swiftSettings: settings),
        // The tests of vaults kill it while it writes.
        .executableTarget(
            name: "VaultWriter", dependencies: ["Primitives", "SecretVaults", "VaultProviders"], swiftSettings: settings
        ),
        // Those of the audit log as well.
        .executableTarget(name: "AuditWriter", dependencies: ["Primitives", "State"], swiftSettings: settings),
        tests("PrimitivesTests", ["Primitives", "TestSupport"]),
        tests("SealingTests", ["Primitives", "Sealing", "TestSupport"]),
        tests("CompressionTests", ["Primitives", "Compression", "TestSupport"]),
        tests("ChunkingTests", ["Primitives", "Chunking", "TestSupport"]),
        tests("PrintingTests", ["Primitives", "Printing", "TestSupport"]),
        tests("ObjectStoreTests", ["Primitives", "ObjectStore", "TestSupport"]),
        tests("RepositoryTests", ["Primitives", "Sealing", "Compression", "ObjectStore", "Repository", "TestSupport"]),
        tests("SchedulingTests", ["Primitives", "Scheduling", "TestSupport"]),
        tests(
            "StateTests",
            ["Primitives", "CLinux", "Scheduling", "State", "StateSupport", "TestSupport", "AuditWriter"]),
        tests(
            "SecretVaultsTests",
            [
                "Primitives", "CLinux", "Sealing", "SecretVaults", "VaultProviders", "TestSupport", "VaultSupport",
                "TestThreads", "VaultWriter",
            ]),
        tests("TelemetryTests", ["Primitives", "Scheduling", "State", "Telemetry", "TestSupport", logging]),
        tests(
            "ControlPlaneTests",
            ["Primitives", "Scheduling", "State", "StateSupport", "ControlPlane", "TestSupport", logging]),
        tests(
            "ConfigurationTests",
            ["Primitives", "Compression", "Repository", "Workloads", "Scheduling", "Configuring", "TestSupport"]),
        tests(
            "WorkloadsTests",
            [
                "Primitives", "Sealing", "CLinux", "Repository", "SecretVaults", "VaultProviders", "Workloads",
                "TestSupport",
            ]),
        tests(
            "RecoveryTests",
            [
                "Primitives", "CLinux", "Sealing", "Compression", "Printing", "ObjectStore", "Repository", "Workloads",
                "Recovery", "TestSupport",
            ]),
        tests(
            "ComplianceTests",
            ["Primitives", "Sealing", "ObjectStore", "Repository", "Recovery", "Compliance", "TestSupport"]),
        tests(
            "CommandsTests",
            [
                "Primitives", "ObjectStore", "Repository", "Configuring", "Scheduling", "State", "StateSupport",
                "Commands", "TestSupport", argumentParser, logging,
            ]),
        tests("SimulationTests", ["Simulation", "TestSupport"]),
        tests("FuzzingTests", ["Primitives", "Fuzzing", "TestSupport"]),
        tests(
            "Conformance",
            [
                "Primitives", "Compression", "ObjectStore", "Repository", "Workloads", "Recovery", "Scheduling",
                "State", "StateSupport", "SecretVaults", "VaultProviders", "TestSupport", "VaultSupport",
                "TestThreads",
            ]),
        tests(
            "Integration",
            [
                "Primitives", "CLinux", "ObjectStore", "Repository", "SecretVaults", "VaultProviders", "TestSupport",
                "VaultSupport", "TestThreads", "holdfast",
            ]),
        tests("Tidy", ["TestSupport"]),
    ]
)
