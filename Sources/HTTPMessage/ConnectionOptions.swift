/// What a message's `Connection` fields say (RFC 9110 §7.6.1).
public struct ConnectionOptions: Sendable, Equatable {
    public private(set) var saysClose = false
    public private(set) var saysKeepAlive = false
    /// Whether they name fields of this message, which then concern this connection only.
    public private(set) var namesFields = false

    private var optionCount = 0
    /// Each field of a message is looked for among them.
    private static let maximumOptions = 64

    mutating func note(_ value: Span<UInt8>) throws(MessageRefusal) {
        // As nearly all that have the field say it.
        if optionCount == 0, value.equalsIgnoringCase("keep-alive") {
            optionCount = 1
            return saysKeepAlive = true
        }
        var start = 0
        while start <= value.count {
            let end = value.firstIndex(of: UInt8(ascii: ","), from: start) ?? value.count
            let option = value.extracting(start..<end).trimmingBlanks()
            start = end &+ 1
            guard option.count > 0 else { continue }
            optionCount &+= 1
            guard optionCount <= Self.maximumOptions else { throw MessageRefusal("There are too many Connection options.") }
            for index in option.indices where !Characters.isToken(option[index]) {
                throw MessageRefusal("A Connection option is no token.")
            }
            if option.equalsIgnoringCase("close") {
                saysClose = true
            } else if option.equalsIgnoringCase("keep-alive") {
                saysKeepAlive = true
            } else {
                namesFields = true
            }
        }
    }

    /// Whether `Connection` fields among `fields` name the field `name`.
    public static func name(_ name: Span<UInt8>, in fields: [FieldLine], of message: Span<UInt8>) -> Bool {
        for field in fields where field.kind == .connection {
            let value = field.value.bytes(in: message)
            var start = 0
            while start <= value.count {
                let end = value.firstIndex(of: UInt8(ascii: ","), from: start) ?? value.count
                if value.extracting(start..<end).trimmingBlanks().equalsIgnoringCase(name) { return true }
                start = end &+ 1
            }
        }
        return false
    }
}
