// uWebSockets on one thread, as in its examples: `server ADDRESS MODE`.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>

#include "App.h"

namespace {

// The data of a connection, which is empty.
struct Guest {};

constexpr const char *TOPIC = "everyone";

// The number of topics to which each connection of the mode `subscriptions` subscribes, and the number of connections that
// the load generator opens before it measures the memory for the first time.
constexpr unsigned int EACH = 1000;
constexpr unsigned int EARLY = 64;

constexpr unsigned int LARGEST = 64 * 1024 * 1024;

struct Address {
    std::string host;
    int port;
};

Address parse(const std::string &text) {
    const auto colon = text.rfind(':');
    return {text.substr(0, colon), std::atoi(text.c_str() + colon + 1)};
}

// Messages are not truncated or dropped because of their size, and connections are not closed because they are slow or
// idle.
template <bool SSL>
typename uWS::TemplatedApp<SSL>::template WebSocketBehavior<Guest> behavior(uWS::CompressOptions compression) {
    return {
        .compression = compression,
        .maxPayloadLength = LARGEST,
        .idleTimeout = 0,
        .maxBackpressure = 0,
        .closeOnBackpressureLimit = false,
        .resetIdleTimeoutOnSend = false,
        .sendPingsAutomatically = false,
    };
}

template <bool SSL>
int listen(uWS::TemplatedApp<SSL> &app, const Address &address) {
    bool listening = false;
    app.listen(address.host, address.port, [&listening](auto *socket) { listening = socket != nullptr; });
    if (!listening) {
        std::cerr << "cannot listen" << std::endl;
        return 1;
    }
    app.run();
    return 0;
}

template <bool SSL>
int echo(uWS::TemplatedApp<SSL> &&app, const Address &address, uWS::CompressOptions compression) {
    auto settings = behavior<SSL>(compression);
    const bool compress = compression != uWS::DISABLED;
    settings.message = [compress](auto *socket, std::string_view message, uWS::OpCode kind) {
        socket->send(message, kind, compress);
    };
    app.template ws<Guest>("/*", std::move(settings));
    return listen(app, address);
}

// Echoes binary messages. For each text message, it is busy for a millisecond and does not reply.
int neighbors(uWS::App &&app, const Address &address) {
    auto settings = behavior<false>(uWS::DISABLED);
    settings.message = [](auto *socket, std::string_view message, uWS::OpCode kind) {
        if (kind == uWS::OpCode::BINARY) {
            socket->send(message, kind, false);
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    };
    app.ws<Guest>("/*", std::move(settings));
    return listen(app, address);
}

// The app publishes the message, so that its sender receives it as well, as with the other servers.
int broadcast(uWS::App &&app, const Address &address) {
    auto settings = behavior<false>(uWS::DISABLED);
    settings.open = [](auto *socket) { socket->subscribe(TOPIC); };
    settings.message = [&app](auto *, std::string_view message, uWS::OpCode kind) {
        app.publish(TOPIC, message, kind);
    };
    app.ws<Guest>("/*", std::move(settings));
    return listen(app, address);
}

// Connections subscribe to consecutive topics, whose names have 16 bytes. All topics have the same number of subscribers.
int subscriptions(uWS::App &&app, const Address &address, unsigned int topics) {
    auto settings = behavior<false>(uWS::DISABLED);
    unsigned int number = 0;
    settings.open = [&number, topics](auto *socket) {
        number += 1;
        if (number <= EARLY) {
            return;
        }
        const unsigned int first = (number - EARLY - 1) * EACH;
        for (unsigned int topic = first; topic < first + EACH; topic++) {
            char name[17];
            std::snprintf(name, sizeof name, "topic/%010u", topic % topics);
            socket->subscribe(name);
        }
    };
    app.ws<Guest>("/*", std::move(settings));
    return listen(app, address);
}

// Environment variables contain the paths of the certificate and of the key.
uWS::SSLApp secure() {
    return uWS::SSLApp({
        .key_file_name = std::getenv("BENCH_KEY"),
        .cert_file_name = std::getenv("BENCH_CERTIFICATE"),
    });
}

}  // namespace

int main(int count, char **arguments) {
    if (count < 3) {
        std::cerr << "usage: ADDRESS MODE" << std::endl;
        return 2;
    }
    const Address address = parse(arguments[1]);
    const std::string_view mode = arguments[2];
    // Each connection whose context may be kept has a dedicated compressor. All other connections share one.
    const auto dedicated = uWS::CompressOptions(uWS::DEDICATED_COMPRESSOR | uWS::DEDICATED_DECOMPRESSOR);
    if (mode == "echo") {
        return echo<false>(uWS::App(), address, uWS::DISABLED);
    } else if (mode == "deflate") {
        return echo<false>(uWS::App(), address, dedicated);
    } else if (mode == "broadcast" || mode == "publish") {
        return broadcast(uWS::App(), address);
    } else if (mode == "subscriptions" && count > 3) {
        return subscriptions(uWS::App(), address, std::atoi(arguments[3]));
    } else if (mode == "neighbors") {
        return neighbors(uWS::App(), address);
    } else if (mode == "tls") {
        return echo<true>(secure(), address, uWS::DISABLED);
    }
    std::cerr << "unknown mode" << std::endl;
    return 2;
}
