/// Why a stream or a connection ended (RFC 9113 §7).
public struct ErrorCode: RawRepresentable, Sendable, Equatable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let noError = ErrorCode(rawValue: 0x0)
    public static let protocolError = ErrorCode(rawValue: 0x1)
    public static let internalError = ErrorCode(rawValue: 0x2)
    public static let settingsTimeout = ErrorCode(rawValue: 0x4)
    public static let refusedStream = ErrorCode(rawValue: 0x7)
    public static let cancel = ErrorCode(rawValue: 0x8)
    public static let enhanceYourCalm = ErrorCode(rawValue: 0xB)
}
