// swift-tools-version: 6.2
import PackageDescription

/// One rule set for every target: Swift 6 mode, async methods stay on their caller's worker, and every unsafe
/// expression is marked where it stands. `Lifetimes` lets a buffer lend a `Span` of itself.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableExperimentalFeature("Lifetimes"),
    .strictMemorySafety(),
]

let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}
func program(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency] = [], excluding: [String] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, exclude: excluding, swiftSettings: settings)
}

let package = Package(
    name: "gatehouse",
    products: [
        // Each with the modules whose types its interface takes.
        .library(name: "Policy", targets: ["Policy", "JSON"]),
        .library(name: "PolicyClient", targets: ["PolicyClient", "PolicyProtocol", "EventLoop", "Bytes"]),
        .executable(name: "gatehouse", targets: ["gatehouse"]),
        .executable(name: "gatehouse-policyd", targets: ["gatehouse-policyd"]),
        .executable(name: "gatehouse-proxy", targets: ["gatehouse-proxy"]),
        .executable(name: "stub-service", targets: ["stub-service"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    // Imports go strictly downward, floor by floor (but for Policy, which imports JSON beside it); Tests/ModuleTests holds the import lines to this table.
    targets: [
        // Floor 0: the system and the C libraries, and the one buffer type
        module("CLinux"),
        .systemLibrary(name: "COpenSSL"),
        .systemLibrary(name: "CHiredis"),
        module("Bytes"),
        // Floor 1: bytes in, values out; no I/O, no clock
        module("HTTPMessage", ["Bytes"]),
        module("PolicyProtocol", ["Bytes"]),
        module("JSON", ["Bytes"]),
        module("Policy", ["JSON"]),
        // Floor 2
        module("JSONWebToken", ["JSON", "COpenSSL"]),
        module("EventLoop", ["Bytes", "CLinux"]),
        module("Settings", ["CLinux", yams]),
        // Floor 3
        module("Counters", ["Bytes", "Policy", "EventLoop", "CHiredis", logging]),
        module("PolicyClient", ["Bytes", "PolicyProtocol", "EventLoop", logging]),
        // Floor 4: the two halves
        module("PolicyDaemon", [
            "Bytes", "Policy", "PolicyProtocol", "JSONWebToken", "EventLoop", "Counters", "Settings", logging,
        ]),
        module("ReverseProxy", ["Bytes", "HTTPMessage", "JSON", "PolicyProtocol", "PolicyClient", "EventLoop", "Settings", logging]),
        // Floor 5: the programs
        program("gatehouse-policyd", ["PolicyDaemon", "Settings", logging, arguments]),
        program("gatehouse-proxy", ["ReverseProxy", "Settings", logging, arguments]),
        program("gatehouse", ["Bytes", "JSON", "Settings", "PolicyClient", "PolicyProtocol", "JSONWebToken", "EventLoop", arguments]),
        program("stub-service", ["Bytes", "CLinux", "HTTPMessage", "EventLoop"], path: "stubs"),

        // Asks a daemon as fast as it answers, for Tests/Benchmarks.
        program("policy-load", ["Bytes", "JSON", "JSONWebToken", "PolicyProtocol", "EventLoop", arguments], path: "Tests/Benchmarks/PolicyLoad"),

        tests("HTTPMessage", ["Bytes"]),
        tests("PolicyProtocol", ["Bytes"]),
        tests("JSON"),
        tests("Policy", ["JSON"]),
        tests("JSONWebToken", ["JSON"]),
        tests("EventLoop", ["Bytes"]),
        tests("PolicyClient", ["PolicyProtocol", "EventLoop", "Bytes", logging]),
        tests("Settings"),
        tests("Counters", ["Bytes", "Policy", "EventLoop", logging]),
        .testTarget(name: "ModuleTests", swiftSettings: settings),
        tests("gatehouse", ["Bytes", "PolicyProtocol", "JSONWebToken", "JSON", arguments]),
        tests("PolicyDaemon", [
            "Bytes", "Policy", "PolicyProtocol", "JSON", "JSONWebToken", "EventLoop", "Counters", "Settings", logging,
        ], excluding: ["BadConfigurations"]),
        tests("ReverseProxy", ["Settings"], excluding: ["BadConfigurations"]),
    ]
)
