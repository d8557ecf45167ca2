"""A camera that speaks RTSP (RFC 2326), on loopback.

It answers OPTIONS, DESCRIBE, SETUP and PLAY, asks for a user and password, and sends H.264 packets
within the connection (RFC 2326, 10.12), paced by their times. Then it hangs up, as a camera does
that restarts.
"""

from __future__ import annotations

import base64
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import av

from marey.video.reading.pixels import Picture

CLOCK = 90_000
"""Ticks a second in the times of RTP packets of video."""
SDP = f"""v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
c=IN IP4 0.0.0.0
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/{CLOCK}
a=fmtp:96 packetization-mode=1
a=control:track
""".replace("\n", "\r\n")


class Packets:
    """The RTP packets of a video, as FFmpeg writes them to a file: one a call."""

    def __init__(self) -> None:
        self.found: list[bytes] = []

    def write(self, data: bytes) -> int:
        if not 200 <= data[1] <= 204:  # those are of RTCP
            self.found.append(bytes(data))
        return len(data)


def packets(pictures: Sequence[Picture], fps: int) -> list[bytes]:
    height, width, _ = pictures[0].shape
    written = Packets()
    options = {"packetsize": "1400"}
    with av.open(written, "w", format="rtp", options=options) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return written.found


@contextmanager
def rtsp_camera(pictures: Sequence[Picture], fps: int, login: str = "") -> Iterator[str]:
    """Its address, host:port; `login` is USER:PASSWORD, without which it shows nothing."""
    sent = packets(pictures, fps)
    asked = "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                method, url, _ = line.decode().split(" ", 2)
                fields = dict(self.fields())
                if method == "TEARDOWN":
                    return
                if login and method != "OPTIONS" and fields.get("authorization") != asked:
                    self.answer(fields, "401 Unauthorized", 'WWW-Authenticate: Basic realm="a"')
                elif method == "DESCRIBE":
                    about = ("Content-Type: application/sdp", f"Content-Base: {url}/")
                    self.answer(fields, "200 OK", *about, body=SDP)
                elif method == "SETUP":
                    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
                    self.answer(fields, "200 OK", transport, "Session: 1")
                elif method == "PLAY":
                    self.answer(fields, "200 OK", "Session: 1")
                    self.play()
                    return
                else:
                    public = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
                    self.answer(fields, "200 OK", public)

        def fields(self) -> Iterator[tuple[str, str]]:
            while line := self.rfile.readline().decode().strip():
                name, _, value = line.partition(":")
                yield name.lower(), value.strip()

        def answer(self, asked: dict[str, str], status: str, *lines: str, body: str = "") -> None:
            head = (f"RTSP/1.0 {status}", f"CSeq: {asked['cseq']}", *lines)
            length = f"Content-Length: {len(body)}"
            self.wfile.write("\r\n".join((*head, length, "", body)).encode())

        def play(self) -> None:
            began, first = time.monotonic(), int.from_bytes(sent[0][4:8])
            for packet in sent:
                seconds = (int.from_bytes(packet[4:8]) - first) / CLOCK
                time.sleep(max(0.0, began + seconds - time.monotonic()))
                self.wfile.write(b"$\0" + len(packet).to_bytes(2) + packet)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
