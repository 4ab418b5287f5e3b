/// Every limit of version 1, in one place. All sizes are in bytes; a frame's size counts its header.
public enum ProtocolLimits {
    /// The version this module speaks.
    public static let version: UInt16 = 1

    /// The frame size that both sides propose unless configured otherwise.
    public static let defaultFrameBytes = 65_536

    /// What a HELLO may set the frame size to. Below the lower bound a HELLO itself might not fit.
    public static let frameBytes = 16_384...1_048_576

    /// A HELLO is read before any size is agreed upon, so its own limit is fixed.
    public static let helloBytes = 16_384

    /// How long either side waits for the other's HELLO.
    public static let helloTimeoutMilliseconds = 1_000

    public static let versionsPerHello = 8
    public static let headerNamesPerHello = 64
    public static let headersPerCheck = 128
    public static let operationsPerVerdict = 64

    public static let peerNameBytes = 255
    public static let headerNameBytes = 255
    public static let methodBytes = 64
    public static let authorityBytes = 1_024
    public static let peerAddressBytes = 45
    public static let certificateNames = 32
    public static let certificateNameBytes = 1_024
    public static let reasonBytes = 64
    public static let subjectBytes = 1_024
    public static let errorMessageBytes = 1_024
}
