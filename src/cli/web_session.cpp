#include "cli/web_session.hpp"

#include "cli/stt_relay.hpp"
#include "cli/stt_report.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "sealine/crypto/sha256_stream.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::size_t kFilePieceBytes = std::size_t{256} << 10U;
constexpr std::size_t kMostQueuedLines = 1000;
constexpr std::chrono::milliseconds kShownEvery{100};

Result<> as_result(const error_code& ec) {
  if (ec) return std::unexpected(io::to_error(ec));
  return {};
}

/// All that comes, up to a limit.
net::awaitable<Result<std::vector<std::uint8_t>>> read_to_end(io::stt::Stream& stream,
                                                              std::size_t limit) {
  std::vector<std::uint8_t> out(limit + 1);
  std::size_t used = 0;
  while (used < out.size()) {
    error_code ec;
    used += co_await stream.async_read_some(net::buffer(out.data() + used, out.size() - used),
                                            net::redirect_error(net::use_awaitable, ec));
    if (ec == net::error::eof) {
      out.resize(used);
      co_return out;
    }
    if (ec) co_return std::unexpected(io::to_error(ec));
  }
  co_return fail(Errc::value_too_large);
}

/// The head of a file: BE32 and a value. Errors: those of the stream, and of the format.
net::awaitable<Result<WebFileHead>> read_head(io::stt::Stream& stream) {
  error_code ec;
  std::array<std::uint8_t, 4> length{};
  co_await net::async_read(stream, net::buffer(length),
                           net::redirect_error(net::use_awaitable, ec));
  if (ec) co_return std::unexpected(io::to_error(ec));
  const std::size_t size = (std::size_t{length[0]} << 24U) | (std::size_t{length[1]} << 16U) |
                           (std::size_t{length[2]} << 8U) | length[3];
  if (size > kMostWebHeadBytes) co_return fail(Errc::value_too_large);
  std::vector<std::uint8_t> value(size);
  co_await net::async_read(stream, net::buffer(value), net::redirect_error(net::use_awaitable, ec));
  if (ec) co_return std::unexpected(io::to_error(ec));
  co_return parse_file_head(value);
}

}  // namespace

struct WebSession::Transfer {
  using Clock = std::chrono::steady_clock;

  bool is_incoming = false;
  WebFileHead head{};
  std::string kept_as{};  ///< where another file had its name
  std::uint64_t done = 0;
  Clock::time_point began = Clock::now();
  Clock::time_point shown = began;
};

WebSession::WebSession(io::stt::Session session, WebShared& shared)
    : session_(std::move(session)),
      shared_(&shared),
      peer_(peer_text(session_)),
      outbox_filled_(session_.get_executor(), net::steady_timer::time_point::max()) {}

net::awaitable<void> WebSession::run() {
  const auto self = shared_from_this();
  for (;;) {
    error_code ec;
    io::stt::Stream stream =
        co_await session_.async_accept(net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    net::co_spawn(
        session_.get_executor(),
        [](std::shared_ptr<WebSession> page, io::stt::Stream taken) -> net::awaitable<void> {
          co_await page->serve(std::move(taken));
        }(self, std::move(stream)),
        net::detached);
  }
  is_over_ = true;
  outbox_filled_.cancel();
  error_code ec;
  co_await session_.async_drain(net::redirect_error(net::use_awaitable, ec));
  // A page that is closed says nothing: that it is gone is no fault.
  shared_->output.say(fmt::format("{} is gone", printable(peer_)));
}

void WebSession::close() { session_.close(0, {}); }

net::awaitable<void> WebSession::serve(io::stt::Stream stream) {
  switch (stream.options().mode) {
    case io::stt::StreamMode::ordered:
      co_return co_await receive_file(std::move(stream));
    case io::stt::StreamMode::unordered:
      if (!chat_) {
        chat_ = std::make_shared<io::stt::Stream>(std::move(stream));
        net::co_spawn(
            session_.get_executor(),
            [](std::shared_ptr<WebSession> page) -> net::awaitable<void> {
              co_await page->write_chat(page->chat_);
            }(shared_from_this()),
            net::detached);
        co_return co_await listen_to_chat(chat_);
      }
      break;
    case io::stt::StreamMode::partial:
    case io::stt::StreamMode::unreliable:
      break;
  }
  stream.reset(kStreamRefused);
  stream.stop(kStreamRefused);
}

// --- chat ----------------------------------------------------------------------------------------

bool WebSession::chat(const std::string& text) {
  if (!chat_ || is_over_ || outbox_.size() >= kMostQueuedLines) return false;
  outbox_.push_back(text);
  outbox_filled_.cancel();
  return true;
}

net::awaitable<void> WebSession::write_chat(std::shared_ptr<io::stt::Stream> stream) {
  while (!is_over_) {
    if (outbox_.empty()) {
      error_code ec;
      co_await outbox_filled_.async_wait(net::redirect_error(net::use_awaitable, ec));
      continue;
    }
    const auto message = encode_chat(outbox_.front());
    outbox_.pop_front();
    error_code ec;
    co_await stream->async_write_message(message, net::redirect_error(net::use_awaitable, ec));
    if (ec) co_return;
    ++shared_->messages_out;
  }
}

net::awaitable<void> WebSession::listen_to_chat(std::shared_ptr<io::stt::Stream> stream) {
  std::vector<std::uint8_t> message;
  for (;;) {
    error_code ec;
    co_await stream->async_read_message(message, net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    auto text = parse_chat(message);
    if (!text) {
      shared_->output.log(LogLevel::warning, "chat that cannot be read", {{"peer", peer_}});
      stream->reset(kStreamRefused);
      stream->stop(kStreamRefused);
      break;
    }
    co_await show(std::move(*text));
  }
  chat_ = nullptr;
}

net::awaitable<void> WebSession::show(std::string text) {
  const std::uint64_t number = shared_->messages_in++;
  if (shared_->output.is_json()) {
    shared_->output.event("message", {{"seq", number},
                                      {"dir", "in"},
                                      {"peer", peer_},
                                      {"size", std::uint64_t{text.size()}},
                                      {"text", std::move(text)}});
    co_return;
  }
  std::string out;
  std::string_view rest = text;
  for (;;) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    out += shared_->shows_on_terminal ? printable(line) : std::string(line);
    out += '\n';
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  // Nobody may read it any more; files still land.
  static_cast<void>(co_await shared_->data_out.write(as_bytes(out)));
}

// --- files ---------------------------------------------------------------------------------------

void WebSession::note_progress(Transfer& transfer, std::uint64_t bytes) {
  transfer.done += bytes;
  const auto now = Transfer::Clock::now();
  if (now - transfer.shown < kShownEvery) return;
  transfer.shown = now;
  const double seconds = std::chrono::duration<double>(now - transfer.began).count();
  shared_->progress.show({.done_bytes = transfer.done,
                          .total_bytes = transfer.head.size,
                          .total_is_final = true,
                          .rate = seconds > 0 ? static_cast<double>(transfer.done) / seconds : 0,
                          .name = transfer.head.name});
}

void WebSession::tell(const Transfer& transfer, const Result<>& outcome) {
  const std::string& name = transfer.kept_as.empty() ? transfer.head.name : transfer.kept_as;
  Fields fields{{"name", name},
                {"size", transfer.head.size},
                {"dir", transfer.is_incoming ? "in" : "out"},
                {"state", outcome ? "done" : "failed"}};
  if (outcome) {
    ++shared_->files;
    shared_->output.say(fmt::format("{} {}, {}, proved (SHA-256)",
                                    transfer.is_incoming ? "received" : "sent", in_quotes(name),
                                    format_bytes(transfer.head.size)));
  } else {
    fields.push_back({"code", code_text(outcome.error().code)});
    shared_->output.warn(fmt::format("{} was not {}: {}", in_quotes(name),
                                     transfer.is_incoming ? "received" : "sent",
                                     sentence({outcome.error(), {}, {}, {}, {}})));
  }
  shared_->output.event("file", fields);
}

void WebSession::end(const Transfer& transfer, const Result<>& outcome) {
  --shared_->transfers;
  shared_->progress.pause();  // takes the line away
  shared_->progress.resume();
  tell(transfer, outcome);
  if (shared_->on_transfer_end) shared_->on_transfer_end();
}

net::awaitable<void> WebSession::receive_file(io::stt::Stream stream) {
  ++shared_->transfers;
  Transfer transfer{.is_incoming = true};
  const auto outcome = co_await receive(stream, transfer);
  if (!outcome) {
    stream.reset(kStreamFailed);
    stream.stop(kStreamFailed);
  }
  end(transfer, outcome);
}

net::awaitable<Result<>> WebSession::receive(io::stt::Stream& stream, Transfer& transfer) {
  auto head = co_await read_head(stream);
  if (!head) co_return std::unexpected(head.error());
  transfer.head = std::move(*head);
  auto file = WebFile::create(shared_->folder, transfer.head.size);
  if (!file) co_return std::unexpected(file.error());
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kFilePieceBytes);
  net::steady_timer pause(session_.get_executor());
  crypto::Sha256Stream hash;
  for (;;) {
    error_code ec;
    const std::size_t n = co_await stream.async_read_some(
        net::buffer(buffer.get(), shared_->down.piece(kFilePieceBytes)),
        net::redirect_error(net::use_awaitable, ec));
    if (ec == net::error::eof) break;
    if (ec) co_return as_result(ec);
    if (n > transfer.head.size - transfer.done) co_return fail(Errc::content_differs);
    const ByteView bytes(buffer.get(), n);
    hash.update(bytes);
    if (const auto written = file->write(bytes); !written) co_return written;
    shared_->bytes_in += n;
    note_progress(transfer, n);
    co_await shared_->down.take(n, pause);
  }
  if (transfer.done != transfer.head.size) co_return fail(Errc::content_differs);
  auto kept = file->keep(transfer.head.name);
  if (!kept) co_return std::unexpected(kept.error());
  transfer.kept_as = std::move(*kept);
  const auto answer = encode_file_done(hash.finish());
  error_code ec;
  co_await net::async_write(stream, net::buffer(answer),
                            net::redirect_error(net::use_awaitable, ec));
  if (!ec) co_await stream.async_shutdown(net::redirect_error(net::use_awaitable, ec));
  co_return as_result(ec);
}

net::awaitable<void> WebSession::send_file(std::filesystem::path path) {
  const auto self = shared_from_this();
  Transfer transfer{.is_incoming = false};
  transfer.head.name = path.filename().string();
  ++shared_->transfers;
  Result<> outcome;
  auto source = WebSource::open(path);
  auto stream = session_.open();
  if (!source) {
    outcome = std::unexpected(source.error());
  } else if (!is_utf8(transfer.head.name)) {
    outcome = fail(Errc::file_name_refused);
  } else if (!stream) {
    outcome = std::unexpected(stream.error());
  } else {
    transfer.head.size = source->size_bytes();
    outcome = co_await send(*stream, *source, transfer);
  }
  if (!outcome && stream) {
    stream->reset(kStreamFailed);
    stream->stop(kStreamFailed);
  }
  end(transfer, outcome);
}

net::awaitable<Result<>> WebSession::send(io::stt::Stream& stream, WebSource& source,
                                          Transfer& transfer) {
  error_code ec;
  const auto head = encode_file_head(transfer.head);
  co_await net::async_write(stream, net::buffer(head), net::redirect_error(net::use_awaitable, ec));
  if (ec) co_return as_result(ec);
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kFilePieceBytes);
  net::steady_timer pause(session_.get_executor());
  crypto::Sha256Stream hash;
  while (transfer.done < transfer.head.size) {
    const auto n = source.read({buffer.get(), shared_->up.piece(kFilePieceBytes)});
    if (!n) co_return std::unexpected(n.error());
    if (*n == 0 || *n > transfer.head.size - transfer.done) co_return fail(Errc::source_changed);
    hash.update({buffer.get(), *n});
    co_await shared_->up.take(*n, pause);
    co_await net::async_write(stream, net::buffer(buffer.get(), *n),
                              net::redirect_error(net::use_awaitable, ec));
    if (ec) co_return as_result(ec);
    shared_->bytes_out += *n;
    note_progress(transfer, *n);
  }
  co_await stream.async_shutdown(net::redirect_error(net::use_awaitable, ec));
  if (ec) co_return as_result(ec);
  const auto answer = co_await read_to_end(stream, kMostWebHeadBytes);
  if (!answer) co_return std::unexpected(answer.error());
  const auto proof = parse_file_done(*answer);
  if (!proof) co_return std::unexpected(proof.error());
  if (*proof != hash.finish()) co_return fail(Errc::content_differs);
  co_return Result<>{};
}

}  // namespace sealine::cli
