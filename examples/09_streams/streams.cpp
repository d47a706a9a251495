// Many streams in one session: a server that answers in upper case, and a client that asks three
// things at once. Both ends hold the same seed.
//   streams
#include <sealine/io/stt.hpp>

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace net = sealine::io::net;
namespace stt = sealine::io::stt;

namespace {

stt::EndpointOptions with_seed() {
  // Of a program: 32 random bytes from a file that both ends have (sealine key new).
  const std::vector<std::uint8_t> bytes(32, 7);
  stt::EndpointOptions options;
  options.seed = std::make_shared<const sealine::stc::Seed>(bytes);
  return options;
}

net::awaitable<void> answer(stt::Stream stream) {
  std::string text(65536, '\0');
  sealine::io::error_code ec;
  for (;;) {
    const std::size_t n = co_await stream.async_read_some(
        net::buffer(text), net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(std::toupper(text[i]));
    co_await net::async_write(stream, net::buffer(text, n), net::use_awaitable);
  }
  if (ec == net::error::eof) co_await stream.async_shutdown(net::use_awaitable);
}

net::awaitable<void> serve(stt::Endpoint& endpoint) {
  stt::Session session = co_await endpoint.async_accept(net::use_awaitable);
  for (;;) {
    sealine::io::error_code ec;
    stt::Stream stream = co_await session.async_accept(net::redirect_error(net::use_awaitable, ec));
    if (ec) co_return;  // eof: the session was closed well
    net::co_spawn(endpoint.get_executor(), answer(std::move(stream)), net::detached);
  }
}

net::awaitable<void> ask(stt::Endpoint& endpoint, stt::Url url) {
  stt::Session session = co_await endpoint.async_connect(url, net::use_awaitable);
  std::printf("connected %s\n", stt::describe(session.connected()).c_str());
  std::vector<stt::Stream> streams;
  for (const std::string question : {"one", "two", "three"}) {
    stt::Stream& stream = streams.emplace_back(session.open().value());
    co_await net::async_write(stream, net::buffer(question), net::use_awaitable);
    co_await stream.async_shutdown(net::use_awaitable);
  }
  for (stt::Stream& stream : streams) {
    std::string text(100, '\0');
    text.resize(co_await stream.async_read_some(net::buffer(text), net::use_awaitable));
    std::printf("%s\n", text.c_str());
  }
  streams.clear();
  co_await session.async_drain(net::use_awaitable);
}

}  // namespace

int main() {
  net::io_context context;
  int status = 1;
  try {
    stt::Endpoint server(context.get_executor(), with_seed());
    stt::Endpoint client(context.get_executor(), with_seed());
    sealine::io::error_code ec;
    server.listen(stt::Url::parse("ws://127.0.0.1:0").value(), ec);
    if (ec) throw std::system_error(ec);
    stt::Url url = stt::Url::parse("ws://127.0.0.1:0").value();
    url.port = server.local_endpoints().front().port();
    net::co_spawn(context, serve(server), net::detached);
    net::co_spawn(context, ask(client, url), [&](const std::exception_ptr& failure) {
      if (!failure) status = 0;
      context.stop();
    });
    context.run();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
  }
  return status;
}
