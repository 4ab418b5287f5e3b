// `stub-service projects|users|analytics`: one of the three services that a gateway on trial stands in front of.

import CLinux
import EventLoop

let signals = Signals(taking: [Signals.terminate, Signals.interrupt])

/// Writes without stdio's buffer: who started this reads the line to know that the port is open.
func say(_ message: String, on descriptor: Int32) {
    let line = Array("stub-service: \(message)\n".utf8)
    _ = unsafe line.withUnsafeBytes { unsafe linux_write(descriptor, $0.baseAddress!, $0.count) }
}

func fail(_ message: String) -> Never {
    say(message, on: 2)
    exit(64)   // EX_USAGE
}

guard CommandLine.arguments.count == 2, var catalogue = Catalogue(service: CommandLine.arguments[1]) else {
    fail("usage: stub-service \(Catalogue.services.joined(separator: "|")); PORT overrides the port")
}
if let text = unsafe getenv("PORT").map({ unsafe String(cString: $0) }), !text.isEmpty {
    guard let port = Int(text), (0...65_535).contains(port) else { fail("PORT is \(text); 0 to 65535 is accepted") }
    catalogue.port = port
}
do {
    let listener = try Listener.tcp(SocketAddress.resolve(host: "127.0.0.1", port: catalogue.port)[0])
    catalogue.port = listener.address.port
    let loop = try EventLoop()
    let server = StubServer(catalogue, loop: loop)
    Task(executorPreference: loop) { try await server.run(listener) }
    _ = try SystemThread(name: "stub") { loop.run() }
    say("\(catalogue.service) on port \(catalogue.port)", on: 1)
} catch {
    fail("\(error)")
}
_ = signals.wait()
exit(0)
