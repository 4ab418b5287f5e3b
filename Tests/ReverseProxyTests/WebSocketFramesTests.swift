import Testing

@testable import ReverseProxy

@Suite struct `The frames of a WebSocket` {
    private static let masked: [UInt8] = [0x81, 0x82, 1, 2, 3, 4, 5, 6]
    private static let long: [UInt8] = [0x82, 126, 1, 0] + Array(repeating: 0x88, count: 256)
    private static let longer: [UInt8] = [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0] + Array(repeating: 0, count: 65_536)
    private static let maskedEmpty: [UInt8] = [0x89, 0x80, 9, 9, 9, 9]

    @Test(arguments: [[], [0x81, 0], masked, long, longer, maskedEmpty, masked + long + maskedEmpty + masked])
    func `are whole at their ends alone, wherever what passes is split`(_ bytes: [UInt8]) {
        for split in Set([0, 1, 2, 3, 4, 5, 6, 7, bytes.count / 2, bytes.count]) where split <= bytes.count {
            var frames = WebSocketFrames()
            frames.follow(Array(bytes[..<split]).span)
            frames.follow(Array(bytes[split...]).span)
            #expect(frames.areWhole)
            #expect(!frames.hasClosed)
        }
    }

    @Test(arguments: [masked, long, maskedEmpty])
    func `are not whole before`(_ frame: [UInt8]) {
        for count in 1..<frame.count {
            var frames = WebSocketFrames()
            frames.follow(Array(frame[..<count]).span)
            #expect(!frames.areWhole, "\(count) bytes")
        }
    }

    @Test func `end with a Close, by whomever`() {
        for close in [WebSocketFrames.closeOfServer, WebSocketFrames.closeOfClient(mask: 0x0102_0304), [0x88, 0]] {
            var frames = WebSocketFrames()
            frames.follow((Self.long + close).span)
            #expect(frames.hasClosed && frames.areWhole)
        }
        #expect(WebSocketFrames.closeOfClient(mask: 0x0102_0304) == [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xE9 ^ 2])
    }

    @Test func `are not followed into a length that no buffer could have`() {
        var frames = WebSocketFrames()
        frames.follow(([0x82, 127] + Array(repeating: 255, count: 8) + [0, 0]).span)
        #expect(!frames.areWhole)
    }
}
