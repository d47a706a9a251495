#pragma once

#include "cli/asio.hpp"
#include "cli/output.hpp"
#include "cli/progress_line.hpp"
#include "cli/rate_limit.hpp"
#include "cli/stdio.hpp"
#include "cli/web_files.hpp"
#include "sealine/io/stt_session.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::cli {

/// What all pages of a `web` have in common.
struct WebShared {
  WebFolder& folder;
  RateLimit& up;
  RateLimit& down;
  ProgressLine& progress;
  StandardOutput& data_out;
  Output& output;
  bool shows_on_terminal = false;  ///< chat is made harmless for one

  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t files = 0;
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::size_t transfers = 0;  ///< under way
  std::function<void()> on_transfer_end{};
};

/// One page: its chat, and files both ways. One thread.
class WebSession final : public std::enable_shared_from_this<WebSession> {
 public:
  /// `shared` outlives it.
  WebSession(io::stt::Session session, WebShared& shared);

  /// Until the page is gone.
  [[nodiscard]] net::awaitable<void> run();

  /// Queues a line of chat. False: the page takes none, or too slowly.
  bool chat(const std::string& text);

  /// Sends one file, and tells how it went.
  [[nodiscard]] net::awaitable<void> send_file(std::filesystem::path path);

  /// Says goodbye; run() ends soon.
  void close();

 private:
  struct Transfer;

  [[nodiscard]] net::awaitable<void> serve(io::stt::Stream stream);
  [[nodiscard]] net::awaitable<void> listen_to_chat(std::shared_ptr<io::stt::Stream> stream);
  [[nodiscard]] net::awaitable<void> write_chat(std::shared_ptr<io::stt::Stream> stream);
  [[nodiscard]] net::awaitable<void> show(std::string text);
  [[nodiscard]] net::awaitable<void> receive_file(io::stt::Stream stream);
  [[nodiscard]] net::awaitable<Result<>> receive(io::stt::Stream& stream, Transfer& transfer);
  [[nodiscard]] net::awaitable<Result<>> send(io::stt::Stream& stream, WebSource& source,
                                              Transfer& transfer);
  void tell(const Transfer& transfer, const Result<>& outcome);
  void end(const Transfer& transfer, const Result<>& outcome);
  void note_progress(Transfer& transfer, std::uint64_t bytes);

  io::stt::Session session_;
  WebShared* shared_;
  std::string peer_;
  std::shared_ptr<io::stt::Stream> chat_;
  std::deque<std::string> outbox_;
  net::steady_timer outbox_filled_;
  bool is_over_ = false;
};

}  // namespace sealine::cli
