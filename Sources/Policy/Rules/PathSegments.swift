import Bytes

/// One segment of a request's path at a time, from left to right. A path that ends with a slash has an empty last segment.
struct PathSegments {
    /// Where the current segment lies in the path.
    private(set) var range = 0..<0
    private var next: Int

    /// - Returns: nil for `*`, and whatever else doesn't begin with a slash: it has no segments.
    init?(_ path: Span<UInt8>) {
        guard path.count > 0, path[0] == UInt8(ascii: "/") else { return nil }
        next = 1
    }

    /// - Returns: false behind the last.
    mutating func advance(in path: Span<UInt8>) -> Bool {
        guard next <= path.count else { return false }
        let start = next
        while next < path.count, path[next] != UInt8(ascii: "/") { next &+= 1 }
        range = start..<next
        next &+= 1
        return true
    }
}

/// A segment is compared by what its escapes stand for, since that is what a backend will see: `caf%C3%A9` and `caf%c3%a9`
/// are one, and so are `a!` and `a%21`. An escaped slash is no separator, so it can't be taken for one here.
enum EscapedByte {
    /// The byte at `index`, its escape undone, and how many bytes it took. A `%` that begins no escape stands for itself.
    @inline(__always)
    static func at(_ index: Int, in path: Span<UInt8>, end: Int) -> (byte: UInt8, length: Int) {
        let byte = path[index]
        guard byte == UInt8(ascii: "%"), index &+ 2 < end, let high = path[index &+ 1].hexadecimalValue,
            let low = path[index &+ 2].hexadecimalValue
        else { return (byte, 1) }
        return (high << 4 | low, 3)
    }

    static func hash(_ range: Range<Int>, of path: Span<UInt8>) -> UInt64 {
        var hash = ByteHash()
        var index = range.lowerBound
        while index < range.upperBound {
            let (byte, length) = at(index, in: path, end: range.upperBound)
            hash.add(byte)
            index &+= length
        }
        return hash.value
    }

    /// - Parameter literal: with its escapes undone.
    static func equals(_ range: Range<Int>, of path: Span<UInt8>, _ literal: Span<UInt8>) -> Bool {
        var index = range.lowerBound
        var position = 0
        while index < range.upperBound {
            guard position < literal.count else { return false }
            let (byte, length) = at(index, in: path, end: range.upperBound)
            guard byte == literal[position] else { return false }
            position &+= 1
            index &+= length
        }
        return position == literal.count
    }
}
