import Glibc

/// Where a program says why it does not start.
public enum StandardError {
    /// Writes `text` and a newline. Where nobody can read it, there is nothing to be done about that.
    public static func print(_ text: String) {
        var line = text + "\n"
        _ = line.withUTF8 { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
