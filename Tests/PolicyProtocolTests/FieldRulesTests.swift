import Bytes
import Testing

@testable import PolicyProtocol

@Suite struct `Field rules` {
    @Test func `a header name is a token in lower case`() {
        let accepted = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        for byte in UInt8.min...UInt8.max {
            #expect(isHeaderName([byte]) == accepted.contains(byte))
            #expect(isHeaderName([0x61, byte, 0x61]) == accepted.contains(byte))
        }
        for count in [7, 8, 9, 16, 17] {
            for position in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var name = [UInt8](repeating: 0x7A, count: count)
                    name[position] = byte
                    #expect(isHeaderName(name) == accepted.contains(byte))
                }
            }
        }
        #expect(!isHeaderName([]))
        #expect(isHeaderName([UInt8](repeating: 0x61, count: 255)))
        #expect(!isHeaderName([UInt8](repeating: 0x61, count: 256)))
    }

    @Test func `a header value holds no control byte but the tab, and no blank at its ends`() {
        for byte in UInt8.min...UInt8.max {
            let isControl = byte < 0x20 && byte != 0x09 || byte == 0x7F
            #expect(isHeaderValue([0x61, byte, 0x61]) == !isControl)
            let isAccepted = !isControl && byte != 0x09 && byte != 0x20
            #expect(isHeaderValue([byte, 0x61]) == isAccepted)
            #expect(isHeaderValue([0x61, byte]) == isAccepted)
        }
        for count in [1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33] {
            for position in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var value = [UInt8](repeating: 0x7A, count: count)
                    value[position] = byte
                    let isAtEnd = position == 0 || position == count - 1
                    let isAccepted = byte > 0x20 && byte != 0x7F || !isAtEnd && (byte == 0x20 || byte == 0x09)
                    #expect(isHeaderValue(value) == isAccepted)
                }
            }
        }
        #expect(isHeaderValue([]))
    }
}

@Test func `a reason is of lower-case letters, digits and hyphens`() {
    let accepted = Set("0123456789abcdefghijklmnopqrstuvwxyz-".utf8)
    for count in [1, 3, 8, 16, 17, 64] {
        for position in 0..<count {
            for byte in UInt8.min...UInt8.max {
                var reason = [UInt8](repeating: 0x7A, count: count)
                reason[position] = byte
                #expect(FieldRules.isReason(reason.span) == accepted.contains(byte))
            }
        }
    }
}

@Suite struct `The usual place of the policy socket` {
    @Test func `is in the runtime directory where there is one`() {
        #expect(PolicySocket.defaultPath(environment: ["XDG_RUNTIME_DIR": "/run/user/7"]) == "/run/user/7/gatehouse/policy.sock")
        #expect(PolicySocket.defaultPath(environment: ["XDG_RUNTIME_DIR": "/run/user/7//"]) == "/run/user/7/gatehouse/policy.sock")
        #expect(PolicySocket.defaultPath(environment: ["XDG_RUNTIME_DIR": "/"]) == "/gatehouse/policy.sock")
    }

    @Test(arguments: [[:], ["XDG_RUNTIME_DIR": ""], ["XDG_RUNTIME_DIR": "run"]])
    func `is below /run else`(_ environment: [String: String]) {
        #expect(PolicySocket.defaultPath(environment: environment) == "/run/gatehouse/policy.sock")
    }
}

private func isHeaderName(_ bytes: [UInt8]) -> Bool { FieldRules.isHeaderName(bytes.span) }
private func isHeaderValue(_ bytes: [UInt8]) -> Bool { FieldRules.isHeaderValue(bytes.span) }
