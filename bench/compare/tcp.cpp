// Plain TCP: the limit of the machine that everything else is compared with.
// Settings as tcp(7) and socket(7) name them: TCP_NODELAY, reads of 256 KiB, SO_RCVLOWAT where only
// bulk comes in. address=IP, cc=NAME: support/socket.hpp.
#include "support/program.hpp"
#include "support/socket.hpp"

#include <optional>

namespace sealine::bench {
namespace {

class TcpChannel {
 public:
  explicit TcpChannel(Socket socket) : socket_(std::move(socket)) {}

  void write(ByteView bytes) { socket_.write(bytes); }

  void flush() {}

  std::size_t read_some(MutableBytes into) { return socket_.read_some(into); }

  void end_writing() { socket_.end_writing(); }

  void expect_bulk() { socket_.set_low_water_mark(kReadBytes); }

  void reset_on_close() { socket_.reset_on_close(); }

 private:
  Socket socket_;
};

class Tcp {
 public:
  using Channel = TcpChannel;

  explicit Tcp(const Options& options) : route_(Route::from(options)) {}

  nlohmann::json listen() {
    listener_ = Socket::listen(route_);
    return {{"port", listener_->port()}};
  }

  Channel accept() { return Channel(listener_->accept()); }

  void learn(const nlohmann::json& hello) { hello.at("port").get_to(port_); }

  Channel connect() { return Channel(Socket::connect(route_, port_)); }

 private:
  Route route_;
  std::optional<Socket> listener_;
  std::uint16_t port_ = 0;
};

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  return sealine::bench::run_contestant<sealine::bench::Tcp>(argc, argv);
}
