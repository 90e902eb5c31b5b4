"""Asks the example one_port through nginx, and says what it saw. Standard library only."""

import base64
import http.client
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

nginx, metrics, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])


def say(what, seen, expected):
    print(f"{'ok  ' if seen == expected else 'FAIL'} {what}: {seen!r}")
    if seen != expected:
        sys.exit(1)


def host(address):
    name, port = address.rsplit(":", 1)
    return name, int(port)


def get(connection, path, headers={}):
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def metric(name):
    page = get(http.client.HTTPConnection(*host(metrics), timeout=10), "/metrics")[1]
    return next(int(line.split()[1]) for line in page.splitlines() if line.split()[0] == name)


class WebSocket:
    def __init__(self, origin):
        self.socket = socket.create_connection(host(nginx), timeout=40)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {nginx}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        while self.stream.readline() not in (b"\r\n", b""):
            pass

    def send(self, opcode, payload):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def receive(self):
        first, length = self.stream.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", self.stream.read(2))
        return first & 15, self.stream.read(length)


# HTTP: many requests on few connections to the application.
before = metric("http_connections_accepted_total")
connection = http.client.HTTPConnection(*host(nginx), timeout=10)
say("GET /", get(connection, "/"), (200, "HTTP and WebSocket on one port"))
statuses = {get(connection, "/")[0] for _ in range(200)}
say("200 more on the same connection", statuses, {200})
made = metric("http_connections_accepted_total") - before
say("nginx kept its connections to the application (at most 2 were made)", made <= 2, True)
say("GET /readyz", get(connection, "/readyz"), (200, '{"status":"ready"}'))

# WebSocket: both ways, and the Origin rule sees the host the browser sees.
socket_ = WebSocket(f"http://{nginx}")
say("the upgrade", socket_.status, 101)
socket_.send(1, b"through nginx")
say("a text comes back", socket_.receive(), (1, b"through nginx"))
say("a page of another host", WebSocket("http://evil.example").status, 403)

# Long polling: a poll that waits gets what is sent over WebSocket, and a send reaches WebSocket.
connection.request("POST", "/ws/send", '{"type":"note","room":"general"}')
answer = connection.getresponse()
say("POST /ws/send", (answer.status, answer.read().decode()), (202, '{"session_id":"room:general","status":"queued"}'))
say("reaches WebSocket", json.loads(socket_.receive()[1])["type"], "note")
poll = http.client.HTTPConnection(*host(nginx), timeout=40)
poll.request("GET", "/ws/poll?session_id=room:general")
first = poll.getresponse()
say("a poll", json.loads(first.read())[0]["type"], "note")
cookie = {"Cookie": first.getheader("Set-Cookie").split(";")[0]}
answers = []
waiting = threading.Thread(
    target=lambda: answers.append(get(poll, "/ws/poll?session_id=room:general", cookie))
)
waiting.start()
while metric("ws_lp_polls_waiting") == 0:
    time.sleep(0.02)
socket_.send(1, b"to who waits")
waiting.join(40)
status, body = answers[0]
say("a waiting poll", (status, json.loads(body)[-1]["payload"]["text"]), (200, "to who waits"))
say("its sender", socket_.receive(), (1, b"to who waits"))

# A silence of 31 s, longer than a poll waits at most.
if "--silence" in sys.argv:
    began = time.monotonic()
    status, body = get(poll, "/ws/poll?session_id=lp-silent", cookie)
    took = time.monotonic() - began
    say("a poll that nobody answers", (status, body, 24 < took < 30), (200, "[]", True))
    time.sleep(max(0, 31 - took))
    opcode, _ = socket_.receive()
    say("the heartbeat comes through (opcode 9)", opcode, 9)
    socket_.send(10, b"")

# The end: what waits is answered and sessions get their Close through nginx.
threading.Thread(
    target=lambda: answers.append(get(poll, "/ws/poll?session_id=lp-end", cookie))
).start()
while metric("ws_lp_polls_waiting") == 0:
    time.sleep(0.02)
os.kill(pid, signal.SIGTERM)
opcode, payload = socket_.receive()
say("SIGTERM: Close", (opcode, struct.unpack(">H", payload[:2])[0]), (8, 1001))
socket_.send(8, payload[:2])
while len(answers) < 2:
    time.sleep(0.02)
say("SIGTERM: the waiting poll", answers[1], (200, "[]"))
