import Bytes
import JSON
import Testing

@testable import Policy

extension Request {
    static func made(
        _ method: String = "GET", _ authority: String = "api.example.com:8080", _ path: String = "/", query: String = "",
        clientAddress: String = "192.0.2.7", headers: [(name: String, value: String)] = []
    ) -> Request {
        Request(
            method: method, host: authority, target: query.isEmpty ? path : "\(path)?\(query)", headers: headers,
            clientAddress: clientAddress)
    }
}

/// SplitMix64: the same numbers on every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

/// What a failure to read a part of a rule says; nil where it is read.
func mistake(_ read: () throws -> Any) -> String? {
    do {
        _ = try read()
        return nil
    } catch {
        return "\(error)"
    }
}

func claims(_ text: String) throws -> JSONObject {
    try #require(try JSONValue.parse(Array(text.utf8).span).object)
}

func text(_ buffer: ByteBuffer) -> String { buffer.bytes.text }
