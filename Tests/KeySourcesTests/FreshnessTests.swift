import Testing

@testable import KeySources

@Suite struct `The freshness of an answer` {
    @Test(arguments: [
        (nil, nil, .unstated),
        ("", nil, .unstated),
        ("public", nil, .unstated),
        ("max-age=600", nil, .seconds(600)),
        ("public, max-age=600, must-revalidate", nil, .seconds(600)),
        ("MAX-AGE = \"600\"", nil, .seconds(600)),
        ("s-maxage=5, max-age=600", nil, .seconds(600)),
        ("max-age=600, max-age=30", nil, .seconds(30)),
        ("private=\"x, max-age=9\", max-age=600", nil, .seconds(600)),
        ("max-age=600", "500", .seconds(100)),
        ("max-age=600", "601", .seconds(0)),
        ("max-age=600", "soon", .seconds(600)),
        ("max-age=99999999999999999999", nil, .seconds(1 << 31)),
        ("max-age", nil, .none),
        ("max-age=-1", nil, .none),
        ("max-age=1.5", nil, .none),
        ("max-age=600, no-store", nil, .none),
        ("no-cache", nil, .none),
    ] as [(String?, String?, Freshness)])
    func `is what Cache-Control and Age say`(_ cacheControl: String?, _ age: String?, _ expected: Freshness) {
        #expect(Freshness(cacheControl: cacheControl, age: age) == expected)
    }

    @Test func `is that of the last answer, all its Cache-Control fields together`() {
        let header = "HTTP/1.1 103 Early Hints\r\nCache-Control: max-age=1\r\nAge: 7\r\n\r\nHTTP/1.1 200 OK\r\ncache-control: public\r\nCache-control:max-age=50 \r\nAGE: 20\r\n\r\n"
        let answer = FetchedAnswer(status: 200, header: Array(header.utf8), body: [])
        #expect(answer.freshness == .seconds(30))
    }
}
