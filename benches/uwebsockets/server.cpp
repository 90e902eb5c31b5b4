// uWebSockets as a server for `compare --other`: /echo, /room (whoever sends reaches all, itself too) and /plaintext.
#include "App.h"
#include <cstdlib>

struct Nothing {};
using Socket = uWS::WebSocket<false, true, Nothing>;

int main(int count, char **arguments) {
    int port = count > 1 ? atoi(arguments[1]) : 9001;
    uWS::App app;
    auto base = [](uWS::CompressOptions compression) {
        uWS::App::WebSocketBehavior<Nothing> behavior;
        behavior.compression = compression;
        behavior.maxPayloadLength = 1024 * 1024;
        behavior.maxBackpressure = 64 * 1024 * 1024;
        behavior.idleTimeout = 120;
        return behavior;
    };
    auto echo = [](Socket *socket, std::string_view message, uWS::OpCode code) {
        socket->send(message, code, code == uWS::OpCode::TEXT);
    };
    auto plain = base(uWS::SHARED_COMPRESSOR);
    plain.message = echo;
    app.ws<Nothing>("/echo", std::move(plain));
    auto room = base(uWS::DISABLED);
    room.open = [](Socket *socket) { socket->subscribe("room"); };
    room.message = [&app](Socket *, std::string_view message, uWS::OpCode code) { app.publish("room", message, code); };
    app.ws<Nothing>("/room", std::move(room));
    app.get("/plaintext", [](auto *response, auto *) {
        response->writeHeader("Content-Type", "text/plain")->end("Hello, World!");
    });
    app.listen("127.0.0.1", port, [](auto *listening) { if (!listening) exit(1); });
    app.run();
}
