import Glibc

/// A small file, read whole when a program starts.
public enum ConfigurationFile {
    /// Bytes that a file may have.
    public static let maximumBytes = 1 << 20

    /// - Throws: ``InvalidConfiguration`` with one mistake: no such file, not readable, too long.
    public static func bytes(_ path: String) throws(InvalidConfiguration) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw cannotRead(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe read(descriptor, &piece, piece.count)
            if count == 0 { return bytes }
            guard count > 0 else { throw cannotRead(path) }
            bytes += piece[..<count]
            guard bytes.count <= maximumBytes else {
                throw InvalidConfiguration(path, "is longer than \(maximumBytes) bytes", accepted: "a smaller file")
            }
        }
    }

    /// - Throws: ``InvalidConfiguration`` with one mistake, which may also be that the file is not UTF-8.
    public static func text(_ path: String) throws(InvalidConfiguration) -> String {
        guard let text = String(validating: try bytes(path), as: UTF8.self) else {
            throw InvalidConfiguration(path, "is not UTF-8", accepted: "YAML in UTF-8")
        }
        return text
    }

    private static func cannotRead(_ path: String) -> InvalidConfiguration {
        InvalidConfiguration(path, unsafe "cannot be read: \(String(cString: strerror(errno)))", accepted: nil)
    }
}

extension InvalidConfiguration {
    init(_ place: String, _ found: String, accepted: String?) {
        self.init(mistakes: [Mistake(place: place, found: found, accepted: accepted)])
    }
}
