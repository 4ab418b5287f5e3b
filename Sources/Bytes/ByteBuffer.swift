import Glibc

/// Contiguous bytes with a read end and a write end: what a socket fills and a codec drains, or the other way round.
///
/// The one buffer type of the project, so that the codecs (which do no I/O) and the event loop (which does) hand bytes to
/// each other without copying. It is a class because it is pooled and lent, and because a task that is suspended on a
/// socket must find the same buffer again. Its state sits behind one immutable pointer: the hot path then pays no
/// exclusivity check per append.
///
/// A `Span` taken from ``bytes`` must not be kept across a call that appends, consumes or reserves.
@safe public final class ByteBuffer {
    @usableFromInline @unsafe struct State {
        @usableFromInline var base: UnsafeMutableRawPointer
        @usableFromInline var capacity: Int
        @usableFromInline var start = 0
        @usableFromInline var end = 0

        init(capacity: Int) {
            unsafe base = ByteBuffer.allocate(capacity)
            unsafe self.capacity = capacity
        }
    }

    /// Room at an address as aligned as any type needs.
    ///
    /// By `malloc`, as what Swift has for it is `posix_memalign`, which takes nothing from the caches of what was freed before.
    private static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let place = unsafe malloc(byteCount) else { fatalError("no memory for \(byteCount) bytes") }
        return unsafe place
    }

    @usableFromInline let state: UnsafeMutablePointer<State>

    /// - Parameter capacity: bytes of room to start with; it grows as bytes are appended. The owner sets the limit.
    public init(capacity: Int) {
        unsafe state = Self.allocate(MemoryLayout<State>.size).bindMemory(to: State.self, capacity: 1)
        unsafe state.initialize(to: State(capacity: max(capacity, 16)))
    }

    deinit {
        unsafe Self.free(state.pointee)
        unsafe Glibc.free(state)
    }

    static func free(_ storage: State) { unsafe Glibc.free(storage.base) }

    /// How many bytes are there to read.
    @inlinable public var count: Int { unsafe state.pointee.end &- state.pointee.start }

    @inlinable public var isEmpty: Bool { count == 0 }

    /// How many bytes the storage can hold in all.
    @inlinable public var capacity: Int { unsafe state.pointee.capacity }

    /// The bytes there are to read.
    @inlinable public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            let first = unsafe (state.pointee.base + state.pointee.start).assumingMemoryBound(to: UInt8.self)
            return unsafe _overrideLifetime(Span(_unsafeStart: first, count: count), borrowing: self)
        }
    }

    /// The `index`th of the bytes to read. Traps outside `0..<count`.
    @inlinable public subscript(index: Int) -> UInt8 {
        get {
            precondition(index >= 0 && index < count, "index out of the buffer's bounds")
            return unsafe state.pointee.base.load(fromByteOffset: state.pointee.start &+ index, as: UInt8.self)
        }
        set {
            precondition(index >= 0 && index < count, "index out of the buffer's bounds")
            unsafe state.pointee.base.storeBytes(of: newValue, toByteOffset: state.pointee.start &+ index, as: UInt8.self)
        }
    }

    /// Takes `byteCount` bytes off the read end.
    @inlinable public func consume(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "cannot consume more than there is")
        unsafe state.pointee.start &+= byteCount
        if unsafe state.pointee.start == state.pointee.end { clear() }
    }

    /// Takes bytes off the write end, until `byteCount` are left: the way to take back what was just appended.
    @inlinable public func truncate(to byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "cannot truncate to more than there is")
        unsafe state.pointee.end = state.pointee.start &+ byteCount
    }

    /// Forgets all bytes; keeps the storage.
    @inlinable public func clear() {
        unsafe state.pointee.start = 0
        unsafe state.pointee.end = 0
    }

    /// Gives `other` this buffer's storage for its own. Traps where either holds bytes.
    public func exchangeStorage(with other: ByteBuffer) {
        precondition(isEmpty && other.isEmpty, "only empty buffers exchange their storage")
        unsafe swap(&state.pointee, &other.state.pointee)
    }

    /// Moves all that this holds to `other` without a copy: they exchange their storage. Traps where `other` holds bytes.
    public func moveAll(to other: ByteBuffer) {
        precondition(other.isEmpty, "only an empty buffer takes all of another's bytes")
        unsafe swap(&state.pointee, &other.state.pointee)
    }

    // MARK: Appending

    @inlinable public func append(_ byte: UInt8) {
        reserve(1)
        unsafe state.pointee.base.storeBytes(of: byte, toByteOffset: state.pointee.end, as: UInt8.self)
        unsafe state.pointee.end &+= 1
    }

    @inlinable public func append(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { source in unsafe append(copying: source) }
    }

    @inlinable public func append(_ bytes: [UInt8]) { append(bytes.span) }

    /// Always inlined: the copy of a literal, whose length is then known, is a store or two.
    @inlinable @inline(__always) public func append(_ text: StaticString) {
        let byteCount = text.utf8CodeUnitCount
        reserve(byteCount)
        unsafe (state.pointee.base + state.pointee.end).copyMemory(from: text.utf8Start, byteCount: byteCount)
        unsafe state.pointee.end &+= byteCount
    }

    /// Appends the UTF-8 bytes of `text`.
    @inlinable public func append(utf8 text: String) {
        var text = text
        text.withUTF8 { source in unsafe append(copying: UnsafeRawBufferPointer(source)) }
    }

    /// Appends `number` in decimal digits.
    public func append(decimal number: Int) {
        // Written where the longest number ends, for how long this one is shows at its first digit, and then moved to its place.
        reserve(2 * Self.longestDecimal)
        let place = unsafe state.pointee.base + state.pointee.end
        var offset = Self.longestDecimal
        var rest = number.magnitude
        let pairs = unsafe Self.digitPairs.utf8Start
        while rest >= 10 {
            offset &-= 2
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            unsafe (place + offset).copyMemory(from: pairs + 2 &* Int(pair), byteCount: 2)
            rest = quotient
        }
        if rest > 0 || number == 0 {
            offset &-= 1
            unsafe place.storeBytes(of: UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest), toByteOffset: offset, as: UInt8.self)
        }
        if number < 0 {
            offset &-= 1
            unsafe place.storeBytes(of: UInt8(ascii: "-"), toByteOffset: offset, as: UInt8.self)
        }
        // As many bytes in any case: that is a few instructions.
        let text = unsafe (place + offset).loadUnaligned(as: (UInt64, UInt64, UInt64).self)
        unsafe place.storeBytes(of: text, as: (UInt64, UInt64, UInt64).self)
        unsafe state.pointee.end &+= Self.longestDecimal &- offset
    }

    /// Of the smallest number, with its sign, in bytes, and rounded up to whole words.
    private static var longestDecimal: Int { 24 }

    /// 00 to 99: two digits for one division.
    private static let digitPairs: StaticString = """
        0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
        5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
        """

    /// Appends the lower four bits of `value` as a hexadecimal digit, in lower case.
    @inlinable public func append(hexadecimalDigit value: UInt8) {
        let digit = value & 0xF
        append(digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "a") &+ digit &- 10)
    }

    /// Appends `number` in network byte order.
    @inlinable public func append(bigEndian number: UInt16) {
        reserve(2)
        unsafe state.pointee.base.storeBytes(of: number.bigEndian, toByteOffset: state.pointee.end, as: UInt16.self)
        unsafe state.pointee.end &+= 2
    }

    /// Appends `number` in network byte order.
    @inlinable public func append(bigEndian number: UInt32) {
        reserve(4)
        unsafe state.pointee.base.storeBytes(of: number.bigEndian, toByteOffset: state.pointee.end, as: UInt32.self)
        unsafe state.pointee.end &+= 4
    }

    /// Appends `byteCount` bytes, which `write` writes; none where it returns false, as this then does.
    @inlinable public func append(byteCount: Int, _ write: (inout MutableSpan<UInt8>) -> Bool) -> Bool {
        reserve(byteCount)
        let place = unsafe (state.pointee.base + state.pointee.end).assumingMemoryBound(to: UInt8.self)
        var room = unsafe MutableSpan(_unsafeStart: place, count: byteCount)
        guard write(&room) else { return false }
        unsafe state.pointee.end &+= byteCount
        return true
    }

    /// Appends, for each of `bytes`, what `transform` makes of it.
    @inlinable public func append(mapping bytes: Span<UInt8>, _ transform: (UInt8) -> UInt8) {
        reserve(bytes.count)
        let place = unsafe state.pointee.base + state.pointee.end
        for index in bytes.indices { unsafe place.storeBytes(of: transform(bytes[index]), toByteOffset: index, as: UInt8.self) }
        unsafe state.pointee.end &+= bytes.count
    }

    /// Puts `text` in place of what stands from `index` on.
    @inlinable @inline(__always) public func overwrite(_ text: StaticString, at index: Int) {
        let byteCount = text.utf8CodeUnitCount
        precondition(index >= 0 && index <= count &- byteCount, "a range within the buffer's bounds")
        unsafe (state.pointee.base + state.pointee.start + index).copyMemory(from: text.utf8Start, byteCount: byteCount)
    }

    /// Moves what stands from `index` on up by `byteCount` bytes. What stands in the gap is to be overwritten.
    public func insertGap(of byteCount: Int, at index: Int) {
        precondition(index >= 0 && index <= count && byteCount >= 0, "a gap within the buffer's bounds")
        reserve(byteCount)
        let place = unsafe state.pointee.base + state.pointee.start + index
        unsafe (place + byteCount).copyMemory(from: place, byteCount: count - index)
        unsafe state.pointee.end &+= byteCount
    }

    @usableFromInline func append(copying source: UnsafeRawBufferPointer) {
        guard let first = source.baseAddress, source.count > 0 else { return }
        reserve(source.count)
        unsafe (state.pointee.base + state.pointee.end).copyMemory(from: first, byteCount: source.count)
        unsafe state.pointee.end &+= source.count
    }

    // MARK: Room

    /// Makes room for `byteCount` more bytes: first by moving what is there to the front, then by growing.
    @inlinable public func reserve(_ byteCount: Int) {
        if unsafe state.pointee.capacity &- state.pointee.end < byteCount { makeRoom(byteCount) }
    }

    @usableFromInline func makeRoom(_ byteCount: Int) {
        let held = count
        if unsafe held + byteCount <= state.pointee.capacity / 2 {
            unsafe state.pointee.base.copyMemory(from: state.pointee.base + state.pointee.start, byteCount: held)
        } else {
            var capacity = unsafe state.pointee.capacity
            while capacity < held + byteCount { capacity *= 2 }
            let base = unsafe Self.allocate(capacity)
            unsafe base.copyMemory(from: state.pointee.base + state.pointee.start, byteCount: held)
            unsafe Self.free(state.pointee)
            unsafe state.pointee.base = base
            unsafe state.pointee.capacity = capacity
        }
        unsafe state.pointee.start = 0
        unsafe state.pointee.end = held
    }

    /// Lends the free room behind the bytes to `fill` (a `recv`, say), which returns how many bytes it wrote there.
    @inlinable public func fill<Failure: Error>(
        atLeast room: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        reserve(room)
        let free = unsafe UnsafeMutableRawBufferPointer(
            start: state.pointee.base + state.pointee.end, count: state.pointee.capacity &- state.pointee.end)
        let filled = unsafe try fill(free)
        precondition(filled >= 0 && filled <= free.count, "more was filled than there was room for")
        unsafe state.pointee.end &+= filled
        return filled
    }
}

extension Int {
    /// How many characters ``ByteBuffer/append(decimal:)`` writes for this number.
    public var decimalCharacterCount: Int {
        // A binary digit is a bit more than 1233 / 4096 decimal ones (Hacker's Delight, 11-4).
        let least = ((UInt.bitWidth &- (magnitude | 1).leadingZeroBitCount) &* 1233) &>> 12
        return least &+ (magnitude >= powersOfTen[least] ? 1 : 0) &+ (self < 0 ? 1 : 0)
    }
}

private let powersOfTen: InlineArray<20, UInt> = [
    0, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 1_000_000_000_000,
    10_000_000_000_000, 100_000_000_000_000, 1_000_000_000_000_000, 10_000_000_000_000_000, 100_000_000_000_000_000, 1_000_000_000_000_000_000,
    10_000_000_000_000_000_000,
]

extension Span where Element == UInt8 {
    /// The bytes as text, every invalid sequence replaced. For logs and messages, never for comparing.
    public var text: String { unsafe withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) } }

    /// The bytes, copied.
    public var array: [UInt8] { unsafe withUnsafeBufferPointer { unsafe Array($0) } }

    /// Whether these bytes are exactly those of `text`. Always inlined: a comparison with a short literal is then one or two with numbers.
    @inlinable @inline(__always) public func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        if count >= 4, count <= 8 {
            let (bytes, last) = unsafe (self.bytes, count &- 4)
            return unsafe bytes.unsafeLoadUnaligned(as: UInt32.self) == UnsafeRawPointer(text.utf8Start).loadUnaligned(as: UInt32.self)
                && bytes.unsafeLoadUnaligned(fromByteOffset: last, as: UInt32.self)
                    == UnsafeRawPointer(text.utf8Start).loadUnaligned(fromByteOffset: last, as: UInt32.self)
        }
        return equals(unsafe Span(_unsafeStart: text.utf8Start, count: count))
    }

    /// Whether these bytes are exactly `other`, compared eight at a time.
    @inlinable public func equals(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        let (left, right) = unsafe (bytes, other.bytes)
        var index = 0
        while index &+ 8 <= count {
            let leftWord = unsafe left.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
            guard unsafe leftWord == right.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self) else { return false }
            index &+= 8
        }
        if index > 0 {
            // The last eight, of which some may have been compared already.
            let last = count &- 8
            return unsafe left.unsafeLoadUnaligned(fromByteOffset: last, as: UInt64.self) == right.unsafeLoadUnaligned(fromByteOffset: last, as: UInt64.self)
        }
        while index < count {
            guard self[index] == other[index] else { return false }
            index &+= 1
        }
        return true
    }
}
