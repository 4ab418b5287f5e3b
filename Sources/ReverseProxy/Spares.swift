/// What is kept to be used again, as much of it as was needed lately.
struct Spares<Element> {
    private let maximum: Int
    /// How many are kept however long nothing needs them.
    private let lasting: Int
    private var elements: [Element] = []
    /// How few there have been since ``takeSurplus()``: so many nothing has needed.
    private var fewest = 0

    init(maximum: Int, lasting: Int) {
        self.maximum = maximum
        self.lasting = lasting
    }

    /// What was given last.
    mutating func take() -> Element? {
        guard let element = elements.popLast() else { return nil }
        fewest = min(fewest, elements.count)
        return element
    }

    /// - Returns: false where there are as many as may be kept.
    mutating func give(_ element: Element) -> Bool {
        guard elements.count < maximum else { return false }
        elements.append(element)
        return true
    }

    mutating func takeAll() -> [Element] {
        defer { elements = [] }
        return elements
    }

    /// Takes out half of what nothing has needed since the last call. To be called at regular times.
    mutating func takeSurplus() -> [Element] {
        let surplus = (max(0, min(fewest, elements.count - lasting)) + 1) / 2
        defer {
            elements.removeFirst(surplus)
            fewest = elements.count
        }
        return Array(elements.prefix(surplus))
    }
}
