import Bytes
import EventLoop
import Foundation
import JSON
import Testing

@testable import Telemetry

/// What one worker with such a log wrote, line by line.
private func lines(_ mode: DecisionLogMode = .all, workerIndex: Int = 0, _ write: (DecisionLog) -> Void) throws -> [String] {
    let path = NSTemporaryDirectory() + "decisions-\(UUID().uuidString).log"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try LogWriter(path: path, lineAboutDropped: DecisionLog.lineAboutDropped)
    let thread = try SystemThread(name: "log") { writer.run() }
    let loop = try EventLoop()
    let log = DecisionLog(writer, mode, loop: loop, workerIndex: workerIndex)
    write(log)
    let runner = Runner(loop: loop)
    runner.flush(log)
    loop.run()
    writer.finish()
    thread.join()
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { String($0) }
}

/// Runs a stopped log's last flush on its loop.
private struct Runner {
    let loop: EventLoop

    func flush(_ log: DecisionLog) {
        log.stop()
        nonisolated(unsafe) let log = log
        Task(executorPreference: loop) { [loop] in
            await unsafe log.flushRegularly()
            loop.stop()
        }
    }
}

extension DecisionLog {
    fileprivate func write(
        _ decision: LoggedDecision, method: [UInt8] = Array("GET".utf8), host: [UInt8] = Array("api.example".utf8),
        target: [UInt8], client: [UInt8] = Array("192.0.2.1".utf8), subject: [UInt8] = []
    ) {
        write(decision, method: method.span, host: host.span, target: target.span, client: client.span, subject: subject.span)
    }
}

private let allowed = LoggedDecision(
    isAllowed: true, reason: Array("allowed".utf8), status: nil, rule: nil, limits: [], durationNanoseconds: 0)

@Suite struct `A decision log` {
    @Test func `writes a JSON object a decision`() throws {
        let denial = LoggedDecision(
            isAllowed: false, reason: Array("limit-exceeded".utf8), status: 429, rule: "projects",
            limits: [.init(name: "per-user", limit: 100, remaining: 0), .init(name: "per-\"day\"", limit: 1000, remaining: 17)],
            durationNanoseconds: 412_999)
        let written = try lines { $0.write(denial, target: Array("/api/projects?token=secret".utf8), subject: Array("usr_1".utf8)) }
        #expect(written.count == 1)
        #expect(try #/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",/#.firstMatch(in: written[0]) != nil)
        #expect(written[0].replacing(#/"time":"[^"]*",/#, with: "") == #"{"decision":"deny","reason":"limit-exceeded","status":429,"#
            + #""subject":"usr_1","rule":"projects","method":"GET","host":"api.example","path":"/api/projects","client":"192.0.2.1","#
            + #""limits":[{"name":"per-user","limit":100,"remaining":0},{"name":"per-\"day\"","limit":1000,"remaining":17}],"#
            + #""duration_us":412}"#)
    }

    @Test func `writes what isn't known as null`() throws {
        let written = try lines { $0.write(allowed, method: [], host: [], target: [], client: []) }
        #expect(written[0].hasSuffix(#""decision":"allow","reason":"allowed","status":null,"subject":null,"rule":null,"#
            + #""method":null,"host":null,"path":null,"client":null,"limits":[],"duration_us":0}"#))
    }

    @Test func `is JSON, a line each, whatever a client sends`() throws {
        var generator = SystemRandomNumberGenerator()
        let hostile = (0..<200).map { _ in (0..<Int.random(in: 1...40)).map { _ in UInt8.random(in: 0...255, using: &generator) } }
        let written = try lines { log in
            for bytes in hostile { log.write(allowed, method: bytes, host: bytes, target: bytes, client: bytes, subject: bytes) }
        }
        #expect(written.count == hostile.count)
        for (line, bytes) in zip(written, hostile) {
            let units = Array(line.utf8)
            let object = try #require(try JSONValue.parse(units.span).object)
            let expected = ByteBuffer(capacity: 64)
            expected.append(jsonString: bytes.span)
            #expect(try object["subject"] == JSONValue.parse(expected.bytes))
        }
    }

    @Test(arguments: [
        (DecisionLogMode.off, [] as [Int]), (.denials, [1, 3, 5, 7]), (.all, Array(0..<8)), (.sampled(oneIn: 3), [0, 3, 6]),
        (.sampled(oneIn: 1), Array(0..<8)),
    ])
    func `takes what its mode says`(_ mode: DecisionLogMode, _ expected: [Int]) throws {
        var taken: [Int] = []
        _ = try lines(mode) { log in
            for index in 0..<8 where log.wants(isAllowed: index % 2 == 0) { taken.append(index) }
        }
        #expect(taken == expected)
    }

    @Test func `of another worker takes other samples`() throws {
        var taken: [Int] = []
        _ = try lines(.sampled(oneIn: 3), workerIndex: 4) { log in
            for index in 0..<8 where log.wants(isAllowed: true) { taken.append(index) }
        }
        #expect(taken == [1, 4, 7])
    }

    @Test func `says how many lines were dropped in JSON, too`() throws {
        let line = DecisionLog.lineAboutDropped(17)
        #expect(line.last == UInt8(ascii: "\n"))
        let object = try #require(try JSONValue.parse(line.span).object)
        #expect(object["message"] == .string("17 decision log lines dropped"))
    }
}
