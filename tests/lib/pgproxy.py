# SPDX-License-Identifier: Apache-2.0
"""A bad network before a Postgres: what goes through is cut, held, or delayed.

    with Proxy(dsn) as proxy:
        ... proxy.dsn ...           the same database, by way of the proxy
        proxy.cut(up=1234)          once so many bytes went up: both ends see a reset
        proxy.cut(down=99)          the same, of what the server says
        proxy.lose_commits(2)       the next COMMITs are done, their answers lost, and the
                                    connection reset; `needs` says which connections are
                                    meant (those that sent these bytes before)
        proxy.hold() / .release()   nothing moves, nothing is closed, new ones hang
        proxy.refuse() / .accept()  all is reset, and nobody listens
        proxy.delay_s = 0.05        each piece comes so much later

It reads the messages of the protocol (startup, then type and length), so that a message is
passed on whole unless it is to be cut. It runs in a thread of its own; the counts
n_connections, n_cut, n_commits_lost, bytes_up, bytes_down may be read at any time."""
import asyncio
import socket
import struct
import threading

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
PIECE = 1 << 16


class Frames:
    """Bytes in, whole messages out."""

    def __init__(self, has_startup):
        self.data = b""
        self.in_startup = has_startup
        self.one_bytes = 0  # answers to a request for encryption: one letter each

    def feed(self, data):
        """[(type or None, bytes)]"""
        self.data += data
        out, at = [], 0
        while True:
            size, kind = self._next(at)
            if size is None or at + size > len(self.data):
                break
            message = self.data[at:at + size]
            if self.in_startup:
                self.in_startup = self._asks_encryption(message)
            out.append((kind, message))
            at += size
        self.data = self.data[at:]
        return out

    def _next(self, at):
        left = len(self.data) - at
        if self.one_bytes and left >= 1:
            self.one_bytes -= 1
            return 1, None
        if self.in_startup:
            return (struct.unpack_from("!i", self.data, at)[0], None) if left >= 4 else (None, None)
        if left < 5:
            return None, None
        return 1 + struct.unpack_from("!i", self.data, at + 1)[0], self.data[at:at + 1]

    @staticmethod
    def _asks_encryption(message):
        return len(message) == 8 and struct.unpack_from("!i", message, 4)[0] in (
            SSL_REQUEST, GSS_REQUEST)


class Link:
    """One client's connection and ours to the server."""

    def __init__(self, proxy, reader, writer):
        self.proxy, self.reader, self.writer = proxy, reader, writer
        self.up_frames, self.down_frames = Frames(True), Frames(False)
        self.marked = False
        self.server = None

    async def run(self):
        try:
            await self.proxy.may_move.wait()
            self.server = await self.proxy.connect()
            up = asyncio.ensure_future(self._pump(self.reader, self.server[1], self._up))
            down = asyncio.ensure_future(self._pump(self.server[0], self.writer, self._down))
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            pass
        finally:
            self.reset()

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        if self.server is not None:
            self.server[1].transport.abort()

    async def _pump(self, reader, writer, filters):
        while data := await reader.read(PIECE):
            await self.proxy.may_move.wait()
            if self.proxy.delay_s:
                await asyncio.sleep(self.proxy.delay_s)
            out, ends = filters(data)
            writer.write(out)
            await writer.drain()
            if ends:
                return

    def _up(self, data):
        proxy, out = self.proxy, b""
        for _, message in self.up_frames.feed(data):
            if self.up_frames.in_startup:
                self.down_frames.one_bytes += 1
            self.marked |= proxy.needs in message
            out += message
        proxy.bytes_up += len(out)
        return proxy.cut_up.take(out)

    def _down(self, data):
        proxy, out = self.proxy, b""
        for kind, message in self.down_frames.feed(data):
            is_commit = kind == b"C" and message[5:] == b"COMMIT\0"
            if is_commit and proxy.commits_to_lose > 0 and self.marked:
                proxy.commits_to_lose -= 1
                proxy.n_commits_lost += 1
                return out, True
            out += message
        proxy.bytes_down += len(out)
        return proxy.cut_down.take(out)


class Cut:
    """Counts down the bytes of one direction; None: no cut is wanted."""

    def __init__(self):
        self.left = None
        self.n_done = 0

    def take(self, out):
        """(what is passed on, whether the connection then ends)"""
        if self.left is None:
            return out, False
        if self.left > len(out):
            self.left -= len(out)
            return out, False
        out, self.left = out[:self.left], None
        self.n_done += 1
        return out, True


class Proxy:
    def __init__(self, dsn):
        words = dict(w.split("=", 1) for w in dsn.split() if "=" in w)
        self.host, port = words["host"], words.get("port", "5432")
        self.path = f"{self.host}/.s.PGSQL.{port}" if self.host.startswith("/") else None
        self.server_port = int(port)
        self.base = dsn
        self.delay_s = 0
        self.needs = b""
        self.cut_up, self.cut_down = Cut(), Cut()
        self.commits_to_lose = 0
        self.n_connections = self.n_commits_lost = self.bytes_up = self.bytes_down = 0
        self.links = set()
        self.listener = None
        self.port = 0

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._call(self._open())
        self.dsn = f"{self.base} host=127.0.0.1 port={self.port}"
        return self

    def __exit__(self, *_):
        self._call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    @property
    def n_cut(self):
        return self.cut_up.n_done + self.cut_down.n_done

    def cut(self, up=None, down=None):
        self.cut_up.left, self.cut_down.left = up, down

    def lose_commits(self, n, needs=b""):
        self.needs = needs
        self.commits_to_lose = n

    def hold(self):
        self._call(self._set_move(False))

    def release(self):
        self._call(self._set_move(True))

    def refuse(self):
        self._call(self._close())

    def accept(self):
        self._call(self._open())

    def reset_all(self):
        self._call(self._reset_all())

    def _call(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)

    async def _set_move(self, moves):
        (self.may_move.set if moves else self.may_move.clear)()

    async def _open(self):
        if not self.port:
            self.may_move = asyncio.Event()
            self.may_move.set()
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def _close(self):
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        await self._reset_all()

    async def _reset_all(self):
        tasks = [task for link, task in self.links]
        for link, task in list(self.links):
            link.reset()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.n_connections += 1
        me = (Link(self, reader, writer), asyncio.current_task())
        self.links.add(me)
        try:
            await me[0].run()
        except asyncio.CancelledError:
            pass
        finally:
            self.links.discard(me)

    async def connect(self):
        if self.path:
            return await asyncio.open_unix_connection(self.path)
        return await asyncio.open_connection(self.host, self.server_port)
