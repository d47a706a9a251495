// WebSocket by Boost.Beast: plain, or over TLS 1.3 by OpenSSL with a certificate that the client
// verifies (AES-256-GCM, X25519, ECDSA P-256).
//   tls=1  over TLS
// Settings as Beast's manual names them: binary messages, one frame each, written whole
// (auto_fragment off, a write buffer that holds the masked message), no deflate, no limit on a
// message, masks without a cryptographic generator, TCP_NODELAY; ssl_stream of Beast, which writes
// header and payload as one.
#include "support/program.hpp"
#include "support/tls.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::bench {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using Tcp = net::ip::tcp;

// Holds the largest message of any row with its header.
constexpr std::size_t kWriteBytes = (std::size_t{1} << 20U) + 64;

template <class Layer>
void tune(websocket::stream<Layer>& stream) {
  stream.binary(true);
  stream.auto_fragment(false);
  stream.write_buffer_bytes(kWriteBytes);
  stream.read_message_max(0);
  stream.secure_prng(false);
  websocket::permessage_deflate none;
  none.client_enable = false;
  none.server_enable = false;
  stream.set_option(none);
}

/// A write is a message; an empty one is the end, since WebSocket closes both directions at once.
template <class Layer>
class WsChannel {
 public:
  using Stream = websocket::stream<Layer>;

  explicit WsChannel(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  void write(ByteView bytes) { stream_->write(net::buffer(bytes.data(), bytes.size())); }

  void flush() {}

  std::size_t read_some(MutableBytes into) {
    for (;;) {
      const std::size_t count = stream_->read_some(net::buffer(into.data(), into.size()));
      const bool is_end = ends_here(count);
      if (count > 0 || is_end) return count;
    }
  }

  void end_writing() { stream_->write(net::const_buffer()); }

  void expect_bulk() {}

  void reset_on_close() { socket().set_option(net::socket_base::linger(true, 0)); }

  /// Calls `received(count)` for whatever comes, and at the end with 0.
  template <class Received>
  void receive_all(MutableBytes into, Received received) {
    stream_->async_read_some(
        net::buffer(into.data(), into.size()),
        [this, into, received](const beast::error_code& code, std::size_t count) {
          if (code) throw beast::system_error(code);
          const bool is_end = ends_here(count);
          if (count > 0 || is_end) received(count);
          if (!is_end) receive_all(into, received);
        });
  }

 private:
  /// After a read of `count` bytes: was that the empty message?
  bool ends_here(std::size_t count) {
    message_bytes_ += count;
    if (!stream_->is_message_done()) return false;
    return std::exchange(message_bytes_, 0) == 0;
  }

  Tcp::socket& socket() { return beast::get_lowest_layer(*stream_); }

  std::unique_ptr<Stream> stream_;  // Beast's streams of TLS do not move
  std::uint64_t message_bytes_ = 0;
};

template <class Layer>
class Ws {
 public:
  using Channel = WsChannel<Layer>;
  using Stream = typename Channel::Stream;
  static constexpr bool kHasTls = !std::is_same_v<Layer, Tcp::socket>;

  explicit Ws(const Options&) {
    if constexpr (kHasTls) tls::choose_protocol(tls_.native_handle());
  }

  nlohmann::json listen() {
    nlohmann::json hello;
    if constexpr (kHasTls) hello["certificate"] = tls::make_certificate(tls_.native_handle());
    listener_.emplace(context_, Tcp::endpoint(net::ip::address_v4::loopback(), 0));
    hello["port"] = listener_->local_endpoint().port();
    return hello;
  }

  Channel accept() {
    auto stream = make_stream(listener_->accept());
    shake_hands(*stream, net::ssl::stream_base::server);
    stream->accept();
    return Channel(std::move(stream));
  }

  void learn(const nlohmann::json& hello) {
    hello.at("port").get_to(port_);
    if constexpr (kHasTls) {
      tls::trust_certificate(tls_.native_handle(), hello.at("certificate").get<std::string>());
    }
  }

  Channel connect() {
    Tcp::socket socket(context_);
    socket.connect({net::ip::address_v4::loopback(), port_});
    auto stream = make_stream(std::move(socket));
    shake_hands(*stream, net::ssl::stream_base::client);
    stream->handshake("localhost", "/");
    return Channel(std::move(stream));
  }

  std::optional<nlohmann::json> serve_specially(const Work& work) {
    if (work.name == "growth") return receive_in_turn(work);
    return std::nullopt;
  }

  std::optional<nlohmann::json> request_specially(const Work& work) {
    if (work.name == "growth") return send_in_turn(work);
    return std::nullopt;
  }

 private:
  std::unique_ptr<Stream> make_stream(Tcp::socket socket) {
    socket.set_option(Tcp::no_delay(true));
    std::unique_ptr<Stream> stream;
    if constexpr (kHasTls) {
      stream = std::make_unique<Stream>(std::move(socket), tls_);
    } else {
      stream = std::make_unique<Stream>(std::move(socket));
    }
    tune(*stream);
    return stream;
  }

  static void shake_hands(Stream& stream, net::ssl::stream_base::handshake_type type) {
    if constexpr (kHasTls) {
      stream.next_layer().handshake(type);
      tls::check_protocol(stream.next_layer().native_handle());
    }
  }

  // --- growth: the same bytes, in turn over few or many connections
  // ------------------------------------------------------------------------------------------

  nlohmann::json receive_in_turn(const Work& work) {
    std::vector<Channel> channels;
    channels.reserve(work.connection_count);
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      channels.push_back(accept());
    }
    // What comes is counted and thrown away, so one buffer does for all.
    std::vector<std::uint8_t> buffer(kReadBytes);
    std::optional<Stopwatch> watch;
    std::uint64_t received = 0;
    for (Channel& channel : channels) {
      channel.receive_all(buffer, [&](std::size_t count) {
        if (!watch) watch.emplace();
        received += count;
      });
    }
    context_.run();  // until all have ended
    return transfer_report(received, watch.value().wall_s(), watch.value().cpu_used_s());
  }

  nlohmann::json send_in_turn(const Work& work) {
    std::vector<Channel> channels;
    channels.reserve(work.connection_count);
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      channels.push_back(connect());
    }
    std::vector<std::uint8_t> message(work.size_bytes);
    Pattern(1).fill(message);
    const Stopwatch watch;
    const std::uint64_t total = work.total_bytes / message.size();
    for (std::uint64_t number = 0; number < total; ++number) {
      channels[number % channels.size()].write(message);
    }
    for (Channel& channel : channels) channel.end_writing();
    return transfer_report(total * message.size(), watch.wall_s(), watch.cpu_used_s());
  }

  net::io_context context_{1};
  net::ssl::context tls_{net::ssl::context::tlsv13};
  std::optional<Tcp::acceptor> listener_;
  std::uint16_t port_ = 0;
};

using Plain = Ws<boost::asio::ip::tcp::socket>;
using Tls = Ws<boost::beast::ssl_stream<boost::asio::ip::tcp::socket>>;

/// The same arguments without `tls=1`, which chooses the type.
int run(int argc, char** argv) {
  std::vector<char*> rest;
  bool has_tls = false;
  for (int index = 0; index < argc; ++index) {
    if (std::string_view(argv[index]) == "tls=1") {
      has_tls = true;
    } else {
      rest.push_back(argv[index]);
    }
  }
  const int count = static_cast<int>(rest.size());
  return has_tls ? run_contestant<Tls>(count, rest.data())
                 : run_contestant<Plain>(count, rest.data());
}

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) { return sealine::bench::run(argc, argv); }
