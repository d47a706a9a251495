// Receives files from any number of senders into a folder, until it is interrupted. Senders from
// this machine are taken; of others, those that a person said yes to.
//   receive_files FOLDER [PORT]
#include <sealine/io/stx.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace net = sealine::io::net;
namespace stx = sealine::io::stx;

net::awaitable<void> serve(stx::ReceiveOptions options, std::uint16_t port) {
  stx::Receiver receiver(co_await net::this_coro::executor, std::move(options));
  if (const auto opened = receiver.open(); !opened) {
    std::fprintf(stderr, "receive_files: %s\n",
                 std::string(to_string(opened.error().code)).c_str());
    co_return;
  }
  if (const auto listens = receiver.listen("127.0.0.1", port); !listens) {
    std::fprintf(stderr, "receive_files: %s\n",
                 std::string(to_string(listens.error().code)).c_str());
    co_return;
  }
  std::printf("%d\n", receiver.port());
  std::fflush(stdout);
  (void)co_await receiver.run();
}

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: receive_files FOLDER [PORT]\n"), 2;
  stx::ReceiveOptions options;
  options.directory = argv[1];
  options.on_file = [](const stx::FileEvent& file) {
    std::printf("%s %s\n", std::string(to_string(file.state)).c_str(), file.path.c_str());
    std::fflush(stdout);
  };
  options.on_session_end = [](const stx::SessionEnd& session) {
    std::printf("end %s: %llu files\n", session.peer.c_str(),
                static_cast<unsigned long long>(session.files));
    std::fflush(stdout);
  };
  net::io_context context;
  net::co_spawn(
      context,
      serve(std::move(options), static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0)),
      net::detached);
  context.run();
}
