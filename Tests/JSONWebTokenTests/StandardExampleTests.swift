import JSON
import Testing

@testable import JSONWebToken

/// The examples of RFC 7515 (A.1 – A.4), RFC 7520 (§4.1 – §4.4) and RFC 8037 (A.4). Some of them sign plain text, which makes no JWT: then
/// the right signature leads to `malformed`, and any other to `signatureInvalid`.
@Suite struct `The examples of the standards` {
    struct Example: CustomTestStringConvertible {
        let name: String
        let key: [UInt8]
        let token: String
        var testDescription: String { name }

        var isJSON: Bool { token.split(separator: ".")[1].hasPrefix("eyJ") }
    }

    static let all: [Example] = {
        guard let text = try? fixture("rfc-examples.json"), case .array(let elements)? = try? JSONValue.parse(text.span) else { return [] }
        return elements.compactMap { element in
            guard let example = element.object, let name = example["name"]?.string, let key = example["key"],
                let token = example["token"]?.string
            else { return nil }
            return Example(name: name, key: key.serialized, token: token)
        }
    }()

    /// Before the `exp` of RFC 7515's.
    private static let then = 1_300_819_379.0

    @Test func `are all there`() { #expect(Self.all.count == 9) }

    @Test(arguments: all)
    func `are verified with their keys`(_ example: Example) throws {
        let verifier = TokenVerifier(try KeySet(jwk: example.key))
        #expect(verifier.refusal(example.token, now: Self.then) == (example.isJSON ? nil : .malformed))
    }

    @Test(arguments: all)
    func `are refused with any one character changed`(_ example: Example) throws {
        let verifier = TokenVerifier(try KeySet(jwk: example.key))
        let bytes = Array(example.token.utf8)
        let dots = bytes.indices.filter { bytes[$0] == UInt8(ascii: ".") }
        for index in [dots[0] + 1, dots[1] - 2, dots[1] + 1, dots[1] + 20, bytes.count - 3] {
            var changed = bytes
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(verifier.refusal(String(decoding: changed, as: UTF8.self), now: Self.then) == .signatureInvalid, "byte \(index)")
        }
    }

    @Test(arguments: all)
    func `are refused with each other's keys`(_ example: Example) throws {
        for other in Self.all {
            guard try json(String(decoding: other.key, as: UTF8.self)) != json(String(decoding: example.key, as: UTF8.self)) else { continue }
            let refusal = TokenVerifier(try KeySet(jwk: other.key)).refusal(example.token, now: Self.then)
            #expect(refusal != nil && (example.isJSON || refusal != .malformed), "\(other.name)")
        }
    }

    @Test func `of an Ed448 signature, RFC 8032, section 7.4`() throws {
        let point = bytes("""
            5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180
            """)
        var signature = bytes("""
            533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980\
            ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600
            """)
        let key = KeyInUse(try VerificationKey(.edwards(.ed448, x: point), id: nil), issuerIndex: 0)
        let nothing: [UInt8] = []
        let holds = key.holds(signature.span, over: nothing.span, .eddsa)
        #expect(holds)
        signature[3] ^= 1
        let stillHolds = key.holds(signature.span, over: nothing.span, .eddsa)
        #expect(!stillHolds)
    }

    private func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.compactMap { $0.hexDigitValue.map(UInt8.init) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
