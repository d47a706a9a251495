// ZeroMQ with CURVE (X25519, XSalsa20-Poly1305), PUSH to PULL: its manual's way to move messages
// fast in one direction. ZeroMQ batches by itself, in a thread of its own at each end; that thread
// is kept on the end's core, as all of a contestant is.
#include "support/messages.hpp"
#include "support/program.hpp"

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <zmq.h>

namespace sealine::bench {
namespace {

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + zmq_strerror(zmq_errno()));
}

struct EndContext {
  void operator()(void* context) const { zmq_ctx_term(context); }  // waits until all is sent
};

struct CloseSocket {
  void operator()(void* socket) const { zmq_close(socket); }
};

using Context = std::unique_ptr<void, EndContext>;
using ZmqSocket = std::unique_ptr<void, CloseSocket>;
using KeyText = std::array<char, 41>;

class Incoming {
 public:
  Incoming() { zmq_msg_init(&message_); }

  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  ~Incoming() { zmq_msg_close(&message_); }

  ByteView receive(void* socket) {
    require(zmq_msg_recv(&message_, socket, 0) >= 0, "zmq_msg_recv");
    return {static_cast<const std::uint8_t*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }

 private:
  zmq_msg_t message_;
};

class CurveChannel {
 public:
  CurveChannel(Context& context, ZmqSocket socket)
      : context_(&context), socket_(std::move(socket)), incoming_(std::make_unique<Incoming>()) {}

  void send(ByteView message) {
    require(zmq_send(socket_.get(), message.data(), message.size(), 0) >= 0, "zmq_send");
  }

  void send_and_wait(ByteView) { throw std::invalid_argument("PUSH hears of no receipt"); }

  void finish() {
    socket_.reset();
    context_->reset();
  }

  std::optional<ByteView> receive() { return incoming_->receive(socket_.get()); }

  void acknowledge() {}

 private:
  Context* context_;
  ZmqSocket socket_;
  std::unique_ptr<Incoming> incoming_;
};

class Curve {
 public:
  explicit Curve(const Options&) : context_(zmq_ctx_new()) {
    require(context_ != nullptr, "zmq_ctx_new");
    if (zmq_has("curve") == 0) throw std::runtime_error("CURVE is not to be had in this ZeroMQ");
  }

  nlohmann::json listen() {
    KeyText public_key{};
    KeyText secret_key{};
    require(zmq_curve_keypair(public_key.data(), secret_key.data()) == 0, "zmq_curve_keypair");
    socket_ = make_socket(ZMQ_PULL);
    const int yes = 1;
    set(ZMQ_CURVE_SERVER, &yes, sizeof yes);
    set(ZMQ_CURVE_SECRETKEY, secret_key.data(), secret_key.size());
    require(zmq_bind(socket_.get(), "tcp://127.0.0.1:*") == 0, "zmq_bind");
    std::array<char, 64> endpoint{};
    std::size_t size = endpoint.size();
    require(zmq_getsockopt(socket_.get(), ZMQ_LAST_ENDPOINT, endpoint.data(), &size) == 0,
            "zmq_getsockopt");
    return {{"endpoint", endpoint.data()}, {"server_key", public_key.data()}};
  }

  void learn(const nlohmann::json& hello) {
    KeyText public_key{};
    KeyText secret_key{};
    require(zmq_curve_keypair(public_key.data(), secret_key.data()) == 0, "zmq_curve_keypair");
    const auto server_key = hello.at("server_key").get<std::string>();
    socket_ = make_socket(ZMQ_PUSH);
    set(ZMQ_CURVE_SERVERKEY, server_key.data(), server_key.size() + 1);
    set(ZMQ_CURVE_PUBLICKEY, public_key.data(), public_key.size());
    set(ZMQ_CURVE_SECRETKEY, secret_key.data(), secret_key.size());
    require(zmq_connect(socket_.get(), hello.at("endpoint").get<std::string>().c_str()) == 0,
            "zmq_connect");
  }

  std::optional<nlohmann::json> serve_specially(const Work& work) {
    return serve_messages(work, [this] { return CurveChannel(context_, std::move(socket_)); });
  }

  std::optional<nlohmann::json> request_specially(const Work& work) {
    return request_messages(work, [this] { return CurveChannel(context_, std::move(socket_)); });
  }

 private:
  ZmqSocket make_socket(int kind) {
    ZmqSocket socket(zmq_socket(context_.get(), kind));
    require(socket != nullptr, "zmq_socket");
    return socket;
  }

  void set(int option, const void* value, std::size_t size) {
    require(zmq_setsockopt(socket_.get(), option, value, size) == 0, "zmq_setsockopt");
  }

  Context context_;
  ZmqSocket socket_;
};

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  return sealine::bench::run_contestant<sealine::bench::Curve>(argc, argv);
}
