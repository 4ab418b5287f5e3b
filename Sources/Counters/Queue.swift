/// A queue in a ring: elements move in at one end and out at the other, and nothing is copied or kept behind.
///
/// A class, so that its owner holds it in a `let`: a `var` of the owner's would be checked for overlapping access at each use.
@safe final class Queue<Element> {
    private var elements: UnsafeMutablePointer<Element>
    private var capacity: Int
    private var head = 0
    private(set) var count = 0

    /// - Parameter capacity: a power of two. It doubles when it is exceeded; the owner sets the limit.
    init(capacity: Int = 64) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "the capacity is no power of two")
        self.capacity = capacity
        unsafe elements = .allocate(capacity: capacity)
    }

    deinit {
        for index in 0..<count { unsafe (elements + place(index)).deinitialize(count: 1) }
        unsafe elements.deallocate()
    }

    var isEmpty: Bool { count == 0 }

    func append(_ element: consuming Element) {
        if count == capacity { grow() }
        unsafe (elements + place(count)).initialize(to: element)
        count += 1
    }

    func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = unsafe (elements + head).move()
        head = (head + 1) & (capacity - 1)
        count -= 1
        return element
    }

    subscript(index: Int) -> Element {
        unsafeAddress {
            precondition(index >= 0 && index < count, "index out of the queue's bounds")
            return unsafe UnsafePointer(elements + place(index))
        }
        unsafeMutableAddress {
            precondition(index >= 0 && index < count, "index out of the queue's bounds")
            return unsafe elements + place(index)
        }
    }

    private func place(_ index: Int) -> Int { (head + index) & (capacity - 1) }

    private func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        for index in 0..<count { unsafe (larger + index).initialize(to: (elements + place(index)).move()) }
        unsafe elements.deallocate()
        unsafe elements = larger
        head = 0
        capacity *= 2
    }
}
