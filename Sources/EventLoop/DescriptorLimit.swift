import CLinux

/// How many descriptors, and so sockets, this process may hold.
public enum DescriptorLimit {
    /// Raises the soft limit to the hard one (setrlimit(2)): shells give 1,024, which a proxy's clients alone exceed.
    ///
    /// - Returns: the limit that holds now; nil where the system would not say.
    @discardableResult
    public static func raise() -> Int? {
        let limit = linux_raise_descriptor_limit()
        return limit > 0 ? Int(limit) : nil
    }
}
