/// Judges what another version of HTTP brought, before it is written into an HTTP/1.1 head: there its delimiters would come alive.
public enum FieldText {
    /// Whether these bytes are a method or a field's name.
    public static func isToken(_ bytes: Span<UInt8>) -> Bool {
        for index in bytes.indices where !Characters.isToken(bytes[index]) { return false }
        return bytes.count > 0
    }

    /// Whether these bytes may stand in a request line as its target: no blank and no control character.
    public static func isTarget(_ bytes: Span<UInt8>) -> Bool {
        for index in bytes.indices where bytes[index] <= 0x20 || bytes[index] == 0x7F { return false }
        return bytes.count > 0
    }

    /// Whether these bytes may be a field's value: no control character but tabs.
    public static func isValue(_ bytes: Span<UInt8>) -> Bool {
        var index = bytes.firstControl(from: 0)
        while index < bytes.count {
            guard bytes[index] == 0x09 else { return false }
            index = bytes.firstControl(from: index &+ 1)
        }
        return true
    }
}
