import CLinux

/// A system call that failed: which one, on what, and the system's own words.
public struct SystemError: Error, CustomStringConvertible {
    public let call: String
    public let code: Int32

    public init(_ call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    /// `result` as a shim of CLinux returns it: a value, or -errno.
    @discardableResult
    static func check(_ result: Int32, _ call: @autoclosure () -> String) throws(SystemError) -> Int32 {
        guard result >= 0 else { throw SystemError(call(), code: -result) }
        return result
    }

    /// The code of a connection that its peer has torn down.
    public static let connectionReset = ECONNRESET

    public static let notPermitted = EPERM

    /// Whether this process or its machine has no descriptor or no memory left for it: nobody else's fault.
    public var isExhaustion: Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }

    public static func text(of code: Int32) -> String { unsafe String(cString: strerror(code)) }

    public var description: String { "\(call): \(Self.text(of: code))" }
}
