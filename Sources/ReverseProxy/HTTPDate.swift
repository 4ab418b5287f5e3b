import Bytes
import EventLoop
import HTTPMessage

/// The present moment for `Date`, made once a second and worker.
final class HTTPDate {
    private let loop: EventLoop
    private var second: Int64 = -1
    private let imfFixdate = ByteBuffer(capacity: 32)

    init(loop: EventLoop) { self.loop = loop }

    /// Appends the present moment as an IMF-fixdate (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    func append(to buffer: ByteBuffer) {
        let now = loop.nowUnixMilliseconds / 1000
        if now != second {
            second = now
            imfFixdate.clear()
            imfFixdate.append(imfFixdate: now)
        }
        let text = imfFixdate
        buffer.append(text.bytes)
    }
}
