import JSON
import Bytes

/// Reads the text of a ``Template``.
struct TemplateReader {
    private let bytes: [UInt8]
    private let place: Template.Place
    private let pattern: PathPattern?
    private let isDenial: Bool
    private var offset = 0

    init(_ bytes: [UInt8], place: Template.Place, pattern: PathPattern?, isDenial: Bool) {
        self.bytes = bytes
        self.place = place
        self.pattern = pattern
        self.isDenial = isDenial
    }

    mutating func parts() throws(RuleMistake) -> [Template.Part] {
        var parts: [Template.Part] = []
        var literal: [UInt8] = []
        while offset < bytes.count {
            if starts(with: "$${") {
                literal += "${".utf8
                offset += 3
            } else if starts(with: "${") {
                if !literal.isEmpty { parts.append(.literal(literal)) }
                literal = []
                offset += 2
                parts.append(try variable())
            } else {
                literal.append(bytes[offset])
                offset += 1
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return parts
    }

    private func starts(with text: String) -> Bool { bytes[offset...].starts(with: text.utf8) }

    private mutating func variable() throws(RuleMistake) -> Template.Part {
        let name = try name()
        var defaultText: [UInt8]?
        if starts(with: ":-") {
            let start = offset + 2
            guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "}")) else { throw unclosed(name) }
            defaultText = try escaped(Array(bytes[start..<end]))
            offset = end
        }
        offset += 1
        return .variable(try variable(name), default: defaultText)
    }

    /// Up to the brace, or the default: within quotes, neither is one.
    private mutating func name() throws(RuleMistake) -> String {
        let start = offset
        var isQuoted = false
        while offset < bytes.count, isQuoted || bytes[offset] != UInt8(ascii: "}") && !starts(with: ":-") {
            if isQuoted, bytes[offset] == UInt8(ascii: "\\") {
                offset += 1
            } else if bytes[offset] == UInt8(ascii: "\"") {
                isQuoted.toggle()
            }
            offset += 1
        }
        let name = String(decoding: bytes[start..<min(offset, bytes.count)], as: UTF8.self)
        guard offset < bytes.count else { throw unclosed(name) }
        return name
    }

    private func unclosed(_ name: String) -> RuleMistake {
        RuleMistake("has a variable \(quoted("${" + name)) without a closing brace; write $${ for the characters themselves")
    }

    private func escaped(_ text: [UInt8]) throws(RuleMistake) -> [UInt8] {
        switch place {
        case .header:
            guard text.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw RuleMistake("has a control character in a default") }
            return text
        case .body(let escaping):
            let buffer = ByteBuffer(capacity: text.count)
            escaping.append(text.span, to: buffer)
            return buffer.bytes.array
        }
    }

    private func variable(_ name: String) throws(RuleMistake) -> Template.Variable {
        switch name {
        case "request.method": return .method
        case "request.host": return .host
        case "request.path": return .path
        case "request.query": return .query
        case "client.ip": return .clientAddress
        default: break
        }
        let group = name.prefix { $0 != "." }
        let rest = String(name.dropFirst(group.count + 1))
        switch group {
        case "claim" where !rest.isEmpty: return .claim(try ClaimPath(inRule: rest))
        case "header" where !rest.isEmpty: return .header(try HeaderName.token(rest))
        case "certificate":
            if let fact = CertificateFact(rawValue: rest) { return .certificate(fact) }
        case "path" where !rest.isEmpty: return .segment(try segment(rest))
        case "denial":
            guard isDenial else { break }
            if let variable = DenialVariable(rawValue: rest) { return .denial(variable) }
        default: break
        }
        throw RuleMistake("has an unknown variable \(quoted(name)); accepted are \(accepted)")
    }

    private func segment(_ name: String) throws(RuleMistake) -> Int {
        if let index = pattern?.segmentIndex(ofCapture: name) { return index }
        let names = pattern?.captureNames.map { "{\($0)}" }.joined(separator: ", ") ?? ""
        throw RuleMistake("has \(quoted("path." + name)), but the rule's path has \(names.isEmpty ? "no {…} segment" : "only " + names)")
    }

    private var accepted: String {
        let denial = DenialVariable.allCases.map { ", denial.\($0.rawValue)" }.joined()
        return "claim.NAME, request.method, request.host, request.path, request.query, path.NAME, client.ip, header.NAME, certificate.NAME"
            + (isDenial ? denial : "")
    }
}
