import Testing

@testable import PolicyDaemon

struct DialectTests {
    @Test(arguments: [
        ([], .needsMoreBytes), ([0xC1], .dialect(.gatehouse)), ([0x00], .dialect(.spop)), (Array("GET".utf8), .dialect(.http)),
        (Array("P".utf8), .needsMoreBytes), (Array("PR".utf8), .needsMoreBytes), (Array("PRI".utf8), .needsMoreBytes),
        (Array("PRI ".utf8), .dialect(.grpc)), (Array("PRI * HTTP/2.0\r\n".utf8), .dialect(.grpc)), (Array("PO".utf8), .dialect(.http)),
        (Array("PROPFIND /".utf8), .dialect(.http)), (Array("PRIX".utf8), .dialect(.http)), (Array("get /".utf8), .unknown),
        ([0x16, 0x03, 0x01], .unknown), ([0xC2], .unknown), ([0xFF], .unknown), ([0x0D, 0x0A], .unknown),
    ] as [([UInt8], Dialect.Recognition)])
    func `a client's first bytes tell what it speaks`(bytes: [UInt8], expected: Dialect.Recognition) {
        #expect(Dialect.recognise(bytes.span) == expected)
    }

    @Test func `a dialect is named by one word`() {
        #expect(Dialect.allCases.map(\.rawValue) == ["gatehouse", "http", "grpc", "spop"])
    }
}
