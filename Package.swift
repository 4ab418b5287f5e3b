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
        .systemLibrary(name: "CCurl"),
        .systemLibrary(name: "CNghttp2"),
        module("Bytes"),
        // Floor 1: bytes in, values out; no I/O, no clock
        module("HTTPMessage", ["Bytes"]),
        module("PolicyProtocol", ["Bytes"]),
        module("EnvoyProtocol", ["Bytes"]),
        module("JSON", ["Bytes"]),
        module("Policy", ["Bytes", "JSON"]),
        // Floor 2
        module("JSONWebToken", ["Bytes", "JSON", "COpenSSL"]),
        module("HTTP2", ["Bytes", "CLinux", "CNghttp2"]),
        module("EventLoop", ["Bytes", "CLinux"]),
        module("Settings", ["CLinux", yams, logging]),
        // Floor 3
        module("TLS", ["Bytes", "EventLoop", "Settings", "COpenSSL", logging]),
        module("PolicyClient", ["Bytes", "PolicyProtocol", "EventLoop", logging]),
        module("Succession", ["EventLoop", logging]),
        module("KeySources", ["JSON", "JSONWebToken", "EventLoop", "CCurl", logging]),
        module("Telemetry", ["Bytes", "HTTPMessage", "JSON", "EventLoop", "Settings", logging]),
        // Floor 4
        module("Counters", ["Bytes", "Policy", "EventLoop", "TLS", "CHiredis", logging]),
        // Floor 5: the two halves
        module("PolicyDaemon", [
            "Bytes", "HTTPMessage", "HTTP2", "EnvoyProtocol", "JSON", "Policy", "PolicyProtocol", "JSONWebToken", "EventLoop", "Counters",
            "KeySources", "Succession", "Telemetry", "TLS", "Settings", logging,
        ]),
        module("ReverseProxy", ["Bytes", "HTTPMessage", "HTTP2", "JSON", "PolicyProtocol", "PolicyClient", "EventLoop", "Succession", "Telemetry", "TLS", "Settings", logging]),
        // Floor 6: the programs
        program("gatehouse-policyd", ["PolicyDaemon", "Settings", logging, arguments]),
        program("gatehouse-proxy", ["ReverseProxy", "Settings", logging, arguments]),
        program("gatehouse", [
            "Bytes", "HTTPMessage", "JSON", "Policy", "Settings", "PolicyClient", "PolicyProtocol", "PolicyDaemon", "JSONWebToken",
            "EventLoop", "Counters", arguments,
        ]),
        program("stub-service", ["Bytes", "CLinux", "HTTPMessage", "EventLoop"], path: "stubs"),

        // Asks a daemon as fast as it answers, for Tests/Benchmarks.
        program("policy-load", ["Bytes", "COpenSSL", "JSON", "JSONWebToken", "PolicyProtocol", "EventLoop", arguments], path: "Tests/Benchmarks/PolicyLoad"),

        tests("Bytes"),
        tests("HTTPMessage", ["Bytes"]),
        tests("PolicyProtocol", ["Bytes"]),
        tests("JSON"),
        tests("Policy", ["Bytes", "JSON", "PolicyProtocol"]),
        tests("JSONWebToken", ["JSON"], excluding: ["Keys"]),
        tests("HTTP2", ["Bytes"]),
        tests("EnvoyProtocol", ["Bytes"], excluding: ["protos"]),
        tests("EventLoop", ["Bytes"]),
        tests("PolicyClient", ["PolicyProtocol", "EventLoop", "Bytes", logging]),
        tests("Settings"),
        tests("Succession", ["EventLoop", logging]),
        tests("TLS", ["Bytes", "EventLoop", "TestSupport"]),
        tests("Counters", ["Bytes", "Policy", "EventLoop", "TLS", "TestSupport", logging]),
        tests("KeySources", ["Bytes", "JSON", "JSONWebToken", "EventLoop", logging]),
        tests("Telemetry", ["Bytes", "JSON", "EventLoop", logging]),
        .testTarget(name: "ModuleTests", swiftSettings: settings),
        tests("gatehouse", [
            "Bytes", "PolicyProtocol", "PolicyDaemon", "JSONWebToken", "JSON", "EventLoop", "Settings", "Telemetry", arguments, logging,
        ]),
        tests("PolicyDaemon", [
            "Bytes", "HTTPMessage", "EnvoyProtocol", "Policy", "PolicyProtocol", "JSON", "JSONWebToken", "KeySources", "Telemetry", "EventLoop", "Counters",
            "Settings", logging,
        ], excluding: ["BadConfigurations"]),
        tests("ReverseProxy", ["Bytes", "EventLoop", "PolicyProtocol", "TLS", "Settings", logging], excluding: ["BadConfigurations"]),
        // Servers and certificates for the tests of several modules.
        .target(name: "TestSupport", dependencies: ["EventLoop"], path: "Tests/TestSupport", swiftSettings: settings),
    ]
)

// Asked for by Tests/Fuzz/run alone, since it links with libFuzzer.
if Context.environment["GATEHOUSE_FUZZ"] != nil {
    package.targets.append(program("fuzz", [
        "Bytes", "HTTPMessage", "EnvoyProtocol", "JSON", "PolicyProtocol", "JSONWebToken", "EventLoop", "Counters", "Telemetry", "PolicyDaemon",
        logging,
    ], path: "Tests/Fuzz/Sources"))
}
