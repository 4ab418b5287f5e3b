import Bytes

/// What one of the stand-in services has to tell.
struct Catalogue: Sendable {
    static let services = ["projects", "users", "analytics"]

    let service: String
    var port: Int
    private let items: String

    /// - Returns: nil for a service that does not exist.
    init?(service: String) {
        guard let index = Self.services.firstIndex(of: service) else { return nil }
        self.service = service
        port = 3001 + index
        let names = [
            [("Website redesign", "active"), ("Mobile app", "planning"), ("Data migration", "completed")],
            [("Ada Lovelace", "active"), ("Grace Hopper", "active"), ("Alan Turing", "inactive")],
            [("Daily visits", "ready"), ("Conversion rate", "ready"), ("Monthly revenue", "pending")],
        ][index]
        items = names.enumerated()
            .map { #"{"id":\#($0.offset + 1),"name":"\#($0.element.0)","status":"\#($0.element.1)"}"# }
            .joined(separator: ",")
    }

    var path: String { "/api/\(service)" }

    /// `{"service":"projects","status":"ok","port":3001}`
    func appendHealth(to body: ByteBuffer) {
        body.append(utf8: #"{"service":"\#(service)","status":"ok","port":\#(port)}"#)
    }

    /// The items, and who asked for them as the gateway says.
    func appendItems(user: String, email: String, to body: ByteBuffer) {
        body.append(utf8: #"{"service":"\#(service)","port":\#(port),"user":"\#(Self.escaped(user))","#)
        body.append(utf8: #""email":"\#(Self.escaped(email))","data":[\#(items)]}"#)
    }

    /// The inside of a JSON string. Of what must be escaped there, a field value can hold these three alone.
    private static func escaped(_ value: String) -> String {
        var text = ""
        // By scalars: a quote and a combining mark behind it are one Character, and not "\"".
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\t": text += "\\t"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
